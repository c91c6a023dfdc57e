-- Creates a record in state `queued`, once. Writes job:<id>, queue:<tier>, jobs, jobs:queued, events:<id>, idempotency:<key>.
-- ARGV: id, tenant, tier, digest, idempotency key or '', its seconds to live, queue limit, then fields and values
-- Returns {'created'|'replayed'|'conflict'|'queue_full'|'ledger_lost', id}. Submitting the same ID again is harmless.
local id, tenant, tier, digest, key, ttl, limit = unpack(ARGV, 1, 7)
if ledger_is_lost() then return {'ledger_lost', id} end
if redis.call('EXISTS', job_key(id)) == 1 then return {'created', id} end

local idempotency = idempotency_key(tenant, key)
if key ~= '' then
  local earlier = redis.call('GET', idempotency)
  if earlier then
    local earlier_digest, earlier_id = earlier:match('^(%S+) (%S+)$')
    return {earlier_digest == digest and 'replayed' or 'conflict', earlier_id}
  end
end
if redis.call('ZCARD', ns .. ':jobs:queued') >= tonumber(limit) then return {'queue_full', id} end

local order = redis.call('INCR', ns .. ':order')
redis.call('HSET', job_key(id), 'id', id, 'tier', tier, 'state', 'queued', 'order', order)
set_fields(id, 8)
redis.call('ZADD', queue_key(tier), order, id)
add_to_list('jobs', id)
add_to_list('jobs:queued', id)
if key ~= '' then redis.call('SET', idempotency, digest .. ' ' .. id, 'EX', ttl) end
publish_event(id, 'state', cjson.encode({state = 'queued', at = tonumber(now())}))
return {'created', id}
