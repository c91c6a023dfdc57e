-- Writes a record anew after Redis lost it, in state `queued` or a final one; never over one that stands.
-- Writes job:<id>, queue:<tier>, jobs, jobs:<state>, events:<id>, idempotency:<key>; for a final state unsealed, completed, outbox.
-- ARGV: id, tier, state, digest, idempotency key or '', its seconds left, then fields and values
-- Returns 1; 0 where the record stands. Of two requests under one key, one was never accepted and was sent again; nobody
-- can tell which, and to paint one too many is better than to lose the other. The key stays with the first.
local id, tier, state, digest, key, ttl = unpack(ARGV, 1, 6)
if redis.call('EXISTS', job(id)) == 1 then return 0 end
if key ~= '' then redis.call('SET', ns .. ':idempotency:' .. key, digest .. ' ' .. id, 'EX', ttl, 'NX') end
local order = redis.call('INCR', ns .. ':order')
redis.call('HSET', job(id), 'id', id, 'tier', tier, 'state', state, 'order', order)
set_fields(id, 7)
redis.call('ZADD', ns .. ':jobs', 0, id)
redis.call('ZADD', ns .. ':jobs:' .. state, 0, id)
if state == 'queued' then
  redis.call('ZADD', queue(tier), order, id)
else
  redis.call('ZADD', ns .. ':unsealed', now(), id)
  local ended = get(id, 'completed_at') or now()
  redis.call('ZADD', ns .. ':completed', ended, id)
  -- Nobody knows whether its webhook was told, so it is told again; not of what we would have given up by now.
  if now() - ended < GIVE_UP_SECONDS then post(id, state) end
end
say(id, 'state', cjson.encode({state = state, at = tonumber(now()), restored = true}))
return 1
