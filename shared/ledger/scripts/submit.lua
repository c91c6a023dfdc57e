-- Creates the record of a job, or all records of a batch, in state `queued`, once. Writes job:<id>, jobs, jobs:queued,
-- events:<id>, idempotency:<key>, batch:<id>, and the keys of fair_share.lua; for jobs with images to be fetched, fetches.
-- Writes also tenant:<tenant>:pixel_evaluations:<day>, the sum of the day's submissions, kept for a second day.
-- ARGV: tenant, digest, idempotency key or '', its seconds to live, queue limit, the tenant's limits of queued jobs and of
-- pixel evaluations in a day, both 0 for none, the batch's ID or ''; then for each job its ID, its tier, its pixel
-- evaluations, the number of the arguments that follow, and these: fields and values
-- Returns {'created'|'replayed'|'conflict'|'queue_full'|'too_many_queued'|'daily_quota'|'ledger_lost', ID of the batch, or
-- else of the job}. Submitting the same IDs again is harmless: jobs that exist stay as they are. If a rebuild has restored
-- some jobs of the batch, it has accepted it: the others are created whatever the limits, which restore.lua ignores, too.
local tenant, digest, key, ttl, limit, queued_limit, daily_limit, batch = unpack(ARGV, 1, 8)
local jobs, cost, next_arg, accepted = {}, 0, 9, false
while next_arg <= #ARGV do
  local id, tier, evaluations, length = unpack(ARGV, next_arg, next_arg + 3)
  if redis.call('EXISTS', job_key(id)) == 1 then
    accepted = true
  else
    jobs[#jobs + 1] = {id = id, tier = tier, first = next_arg + 4, last = next_arg + 3 + length}
    cost = cost + evaluations
  end
  next_arg = next_arg + 4 + length
end
local created_id = batch ~= '' and batch or ARGV[9]
if ledger_is_lost() then return {'ledger_lost', created_id} end
if #jobs == 0 then return {'created', created_id} end
if accepted then limit, queued_limit, daily_limit = math.huge, 0, 0 end

local idempotency = idempotency_key(tenant, key)
if key ~= '' and not accepted then
  local earlier = redis.call('GET', idempotency)
  if earlier then
    local earlier_digest, earlier_id = earlier:match('^(%S+) (%S+)$')
    return {earlier_digest == digest and 'replayed' or 'conflict', earlier_id}
  end
end
if redis.call('ZCARD', ns .. ':jobs:queued') + #jobs > tonumber(limit) then return {'queue_full', created_id} end

queued_limit, daily_limit = tonumber(queued_limit), tonumber(daily_limit)
if queued_limit > 0 and redis.call('ZCARD', tenant_key(tenant, 'jobs:queued')) + #jobs > queued_limit then
  return {'too_many_queued', created_id}
end
if not charge_day(tenant, daily_limit, cost) then return {'daily_quota', created_id} end

for _, job in ipairs(jobs) do
  redis.call('HSET', job_key(job.id), 'id', job.id, 'tier', job.tier, 'state', 'queued', unpack(ARGV, job.first, job.last))
  enqueue_or_fetch(job.id)
  add_to_list('jobs', job.id)
  add_to_list('jobs:queued', job.id)
  if batch ~= '' then redis.call('ZADD', batch_key(batch), 0, job.id) end
  publish_event(job.id, 'state', cjson.encode({state = 'queued', at = tonumber(now())}))
end
if key ~= '' then redis.call('SET', idempotency, digest .. ' ' .. created_id, 'EX', ttl, 'NX') end
return {'created', created_id}
