-- Ends a job; only the claim's holder may. Writes job:<id>, leases, completed, unfinalized, jobs:<state>, events:<id>, outbox.
-- ARGV: id, token, state, then fields and values
-- A cancel that was requested earlier wins; this script alone decides whether it came in time.
-- Returns the job's state; 0 if the claim is lost. Idempotent: a holder that repeats the call after a lost reply gets the
-- state again.
local id, token, state = unpack(ARGV, 1, 3)
if token ~= '' and get_field(id, 'ended_by') == token then return get_field(id, 'state') end
if not holds_claim(id, token) then return 0 end
redis.call('HDEL', job_key(id), 'claim', 'worker')
redis.call('HSET', job_key(id), 'ended_by', token)
set_fields(id, 4)
if get_field(id, 'cancel_requested_at') then
  state = 'canceled'
  redis.call('HDEL', job_key(id), 'result', 'error')
end
mark_ended(id, state)
return state
