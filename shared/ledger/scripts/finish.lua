-- Ends a job, for its holder only. Writes job:<id>, leases, completed, unsealed, jobs:<state>, events:<id>, outbox.
-- ARGV: id, token, state, then fields and values
-- A cancel that was asked for before wins: whether it came in time is decided here and nowhere else.
-- Returns 1; 0 where the claim is lost. Said again by the same holder, after a lost answer, it is 1 again.
local id, token, state = unpack(ARGV, 1, 3)
if token ~= '' and get(id, 'ended_by') == token then return 1 end
if not holds(id, token) then return 0 end
redis.call('HDEL', job(id), 'claim', 'worker')
redis.call('HSET', job(id), 'ended_by', token)
set_fields(id, 4)
if get(id, 'cancel_requested_at') then
  state = 'canceled'
  redis.call('HDEL', job(id), 'result', 'error')
end
finish(id, state)
return 1
