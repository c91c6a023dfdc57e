-- Creates a record in state `queued`, once. Writes job:<id>, jobs, jobs:queued, events:<id>, idempotency:<key>, and the
-- keys of fair_share.lua; for a job with images to be fetched, fetches.
-- Writes also tenant:<tenant>:pixel_evaluations:<day>, the sum of the day's submissions, kept for a second day.
-- ARGV: id, tenant, tier, digest, idempotency key or '', its seconds to live, queue limit, the tenant's limits of queued
-- jobs and of pixel evaluations in a day, both 0 for none, the job's pixel evaluations, then fields and values
-- Returns {'created'|'replayed'|'conflict'|'queue_full'|'too_many_queued'|'daily_quota'|'ledger_lost', id}. Submitting the
-- same ID again is harmless.
local id, tenant, tier, digest, key, ttl, limit, queued_limit, daily_limit, cost = unpack(ARGV, 1, 10)
if ledger_is_lost() then return {'ledger_lost', id} end
if redis.call('EXISTS', job_key(id)) == 1 then return {'created', id} end

local idempotency = idempotency_key(tenant, key)
if key ~= '' then
  local earlier = redis.call('GET', idempotency)
  if earlier then
    local earlier_digest, earlier_id = earlier:match('^(%S+) (%S+)$')
    return {earlier_digest == digest and 'replayed' or 'conflict', earlier_id}
  end
end
if redis.call('ZCARD', ns .. ':jobs:queued') >= tonumber(limit) then return {'queue_full', id} end

queued_limit, daily_limit = tonumber(queued_limit), tonumber(daily_limit)
if queued_limit > 0 and redis.call('ZCARD', tenant_key(tenant, 'jobs:queued')) >= queued_limit then
  return {'too_many_queued', id}
end
if not charge_day(tenant, daily_limit, cost) then return {'daily_quota', id} end

redis.call('HSET', job_key(id), 'id', id, 'tier', tier, 'state', 'queued')
set_fields(id, 11)
enqueue_or_fetch(id)
add_to_list('jobs', id)
add_to_list('jobs:queued', id)
if key ~= '' then redis.call('SET', idempotency, digest .. ' ' .. id, 'EX', ttl) end
publish_event(id, 'state', cjson.encode({state = 'queued', at = tonumber(now())}))
return {'created', id}
