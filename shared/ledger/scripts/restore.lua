-- Writes a record that Redis lost, in state `queued` or a final one; never overwrites an existing record.
-- Writes job:<id>, jobs, jobs:<state>, events:<id>, idempotency:<key>, batch:<id>; for `queued` also the keys of fair_share.lua or fetches, for a
-- final state unfinalized, completed, outbox.
-- ARGV: id, tier, state, digest, idempotency key or '', its remaining seconds, then fields and values
-- Returns 1; 0 if the record exists. Of two requests with one key, the client got no reply to one and sent it again. They
-- cannot be told apart, and rendering a job twice is better than losing one. The key stays with the first.
local id, tier, state, digest, key, ttl = unpack(ARGV, 1, 6)
if redis.call('EXISTS', job_key(id)) == 1 then return 0 end
redis.call('HSET', job_key(id), 'id', id, 'tier', tier, 'state', state, 'order', 0)
set_fields(id, 7)
local batch = get_field(id, 'batch')
if key ~= '' then redis.call('SET', idempotency_key(tenant_of(id), key), digest .. ' ' .. (batch or id), 'EX', ttl, 'NX') end
if batch then redis.call('ZADD', batch_key(batch), 0, id) end
add_to_list('jobs', id)
add_to_list('jobs:' .. state, id)
if state == 'queued' then
  enqueue_or_fetch(id)
else
  redis.call('HDEL', job_key(id), 'waiting_for')
  redis.call('ZADD', ns .. ':unfinalized', now(), id)
  local ended = get_field(id, 'completed_at') or now()
  redis.call('ZADD', ns .. ':completed', ended, id)
  -- Whether the webhook was delivered is not known, so it is sent again, unless the last attempt would be over by now.
  if now() - ended < GIVE_UP_SECONDS then add_to_outbox(id, state) end
end
publish_event(id, 'state', cjson.encode({state = state, at = tonumber(now()), restored = true}))
return 1
