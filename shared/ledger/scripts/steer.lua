-- Asks for a job's end. Writes job:<id>, events:<id>; for a waiting job that is canceled also queue:<tier>, jobs:<state>, outbox.
-- ARGV: id, 'cancel' or 'finish'
-- Returns 'requested'; 'missing'; 'ended'; 'nothing' where there is no picture yet that a finish could keep.
local id, wish = unpack(ARGV)
local state = get(id, 'state')
if not state then return 'missing' end
if next(LEGAL[state]) == nil then return 'ended' end
if wish == 'finish' and cjson.decode(get(id, 'progress')).current < 1 then return 'nothing' end
if redis.call('HSETNX', job(id), wish .. '_requested_at', now()) == 1 then
  say(id, wish .. '_requested', cjson.encode({at = tonumber(now())}))
end
if wish == 'cancel' and state == 'queued' then finish(id, 'canceled') end
return 'requested'
