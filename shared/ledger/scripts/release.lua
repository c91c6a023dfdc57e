-- Gives a claim back, for its holder only: at its old place (drain) or behind the others (end of a time slice).
-- Writes job:<id>, leases, queue:<tier>, jobs:<state>, events:<id>, outbox. ARGV: id, token, 'head' or 'tail', fields and values
-- A holder that wrote no checkpoint leaves word of the one before it, whose note it may not have read.
-- Returns 1; 0 where the claim is lost.
local id, token, place = unpack(ARGV, 1, 3)
if not holds(id, token) then return 0 end
set_fields(id, 4)
if (get(id, 'checkpoint') or ''):find(token, 1, true) then redis.call('HDEL', job(id), 'last_claim') end
put_back(id, place == 'tail' and redis.call('INCR', ns .. ':order') or get(id, 'order'))
return 1
