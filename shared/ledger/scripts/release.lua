-- Returns a job to its queue unfinished; only the claim's holder may. Place 'head' (drain) keeps its order, 'tail' (end of a
-- time slice) puts it behind the others.
-- Writes job:<id>, leases, the keys of fair_share.lua, jobs:<state>, events:<id>, outbox.
-- ARGV: id, token, place, then fields and values
-- A holder that wrote no checkpoint leaves last_claim in the record: the next holder may need that claim's handoff note.
-- Returns 1; 0 if the claim is lost.
local id, token, place = unpack(ARGV, 1, 3)
if not holds_claim(id, token) then return 0 end
set_fields(id, 4)
if (get_field(id, 'checkpoint') or ''):find(token, 1, true) then redis.call('HDEL', job_key(id), 'last_claim') end
requeue(id, place)
return 1
