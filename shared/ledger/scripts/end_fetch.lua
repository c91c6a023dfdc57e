-- Ends an attempt to fetch a job's images; only the fetcher that has taken the job may. Writes fetches, job:<id>; for
-- 'fetched' the keys of fair_share.lua, events:<id>, tenant:<tenant>:pixel_evaluations:<day>; for 'failed' what
-- transitions.lua writes.
-- ARGV: id, token, 'fetched', 'failed', 'retry' or 'postponed' (a retry whose attempt does not count), the seconds until
-- the retry, the tenant's limit of pixel evaluations in a day or 0, the job's pixel evaluations, then fields and values
-- Returns 'done'; 'daily_quota' with nothing changed; 'lost' if another fetcher has the job, or if it has ended.
local id, token, outcome, seconds, daily_limit, cost = unpack(ARGV, 1, 6)
if not redis.call('ZSCORE', ns .. ':fetches', id) or get_field(id, 'fetch_token') ~= token then return 'lost' end
if outcome == 'fetched' and not charge_day(tenant_of(id), tonumber(daily_limit), cost) then return 'daily_quota' end
redis.call('HDEL', job_key(id), 'fetch_token')
set_fields(id, 7)
if outcome == 'postponed' then redis.call('HINCRBY', job_key(id), 'fetch_attempts', -1) end
if outcome == 'retry' or outcome == 'postponed' then
  redis.call('ZADD', ns .. ':fetches', now() + seconds, id)
elseif outcome == 'failed' then
  mark_ended(id, 'failed')
else
  redis.call('ZREM', ns .. ':fetches', id)
  redis.call('HDEL', job_key(id), 'waiting_for', 'fetch_attempts')
  enqueue(id)
  publish_event(id, 'state', cjson.encode({state = 'queued', at = tonumber(now())}))
end
return 'done'
