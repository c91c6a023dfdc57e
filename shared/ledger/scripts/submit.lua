-- Creates a record in state `queued`, once. Writes job:<id>, jobs, jobs:queued, events:<id>, idempotency:<key>, and the
-- keys of fair_share.lua.
-- ARGV: id, tier, digest, idempotency key or '', its seconds to live, queue limit, then fields and values
-- Returns {'created'|'replayed'|'conflict'|'queue_full'|'ledger_lost', id}. Submitting the same ID again is harmless.
local id, tier, digest, key, ttl, limit = unpack(ARGV, 1, 6)
if ledger_is_lost() then return {'ledger_lost', id} end
if redis.call('EXISTS', job_key(id)) == 1 then return {'created', id} end

local idempotency = ns .. ':idempotency:' .. key
if key ~= '' then
  local earlier = redis.call('GET', idempotency)
  if earlier then
    local earlier_digest, earlier_id = earlier:match('^(%S+) (%S+)$')
    return {earlier_digest == digest and 'replayed' or 'conflict', earlier_id}
  end
end
if redis.call('ZCARD', ns .. ':jobs:queued') >= tonumber(limit) then return {'queue_full', id} end

redis.call('HSET', job_key(id), 'id', id, 'tier', tier, 'state', 'queued')
set_fields(id, 7)
enqueue(id)
redis.call('ZADD', ns .. ':jobs', 0, id)
redis.call('ZADD', ns .. ':jobs:queued', 0, id)
if key ~= '' then redis.call('SET', idempotency, digest .. ' ' .. id, 'EX', ttl) end
publish_event(id, 'state', cjson.encode({state = 'queued', at = tonumber(now())}))
return {'created', id}
