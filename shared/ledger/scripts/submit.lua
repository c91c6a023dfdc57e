-- Creates a record in state `queued`, once. Writes job:<id>, queue:<tier>, jobs, jobs:queued, events:<id>, idempotency:<key>.
-- ARGV: id, tier, digest, idempotency key or '', its seconds, queue limit, then fields and values
-- Returns {'created'|'replayed'|'conflict'|'full'|'lost', id}. Sending the same id again is harmless.
local id, tier, digest, key, ttl, limit = unpack(ARGV, 1, 6)
if lost() then return {'lost', id} end
if redis.call('EXISTS', job(id)) == 1 then return {'created', id} end

local remembered = ns .. ':idempotency:' .. key
if key ~= '' then
  local before = redis.call('GET', remembered)
  if before then
    local old_digest, old_id = before:match('^(%S+) (%S+)$')
    return {old_digest == digest and 'replayed' or 'conflict', old_id}
  end
end
if redis.call('ZCARD', ns .. ':jobs:queued') >= tonumber(limit) then return {'full', id} end

local order = redis.call('INCR', ns .. ':order')
redis.call('HSET', job(id), 'id', id, 'tier', tier, 'state', 'queued', 'order', order)
set_fields(id, 7)
redis.call('ZADD', queue(tier), order, id)
redis.call('ZADD', ns .. ':jobs', 0, id)
redis.call('ZADD', ns .. ':jobs:queued', 0, id)
if key ~= '' then redis.call('SET', remembered, digest .. ' ' .. id, 'EX', ttl) end
say(id, 'state', cjson.encode({state = 'queued', at = tonumber(now())}))
return {'created', id}
