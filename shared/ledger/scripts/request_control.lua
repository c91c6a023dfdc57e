-- Requests that a job ends: 'cancel' discards its image, 'finish' keeps the best image so far.
-- Writes job:<id>, events:<id>; canceling a queued job also writes the keys of fair_share.lua, jobs:<state>, completed,
-- unfinalized, outbox.
-- ARGV: id, 'cancel' or 'finish'
-- Returns 'requested'; 'canceled' for a job that was queued; 'missing'; 'ended'; 'no_image' for a finish before the first step.
local id, action = unpack(ARGV)
local state = get_field(id, 'state')
if not state then return 'missing' end
if is_final(state) then return 'ended' end
if action == 'finish' and cjson.decode(get_field(id, 'progress')).current < 1 then return 'no_image' end
if redis.call('HSETNX', job_key(id), action .. '_requested_at', now()) == 1 then
  publish_event(id, action .. '_requested', cjson.encode({at = tonumber(now())}))
end
if action == 'cancel' and state == 'queued' then
  mark_ended(id, 'canceled')
  return 'canceled'
end
return 'requested'
