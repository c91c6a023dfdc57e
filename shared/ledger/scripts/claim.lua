-- Claims the first queued job that fits into the worker's memory and whose tenant may run another one, from the first tier
-- that has one. All others keep their positions.
-- Writes the keys of fair_share.lua, leases, job:<id>, jobs:<state>, events:<id>, outbox; reads job:<id> of the jobs that do
-- not fit.
-- ARGV: token, worker, lease in seconds, memory in bytes or 0 for any, "host" or "gpu" memory, the running jobs that tenants
-- without an entry in running_limits may have, 0 for any number, then the tiers in the order in which they are served
-- Returns the record as fields and values, or nothing if no job fits.
local token, worker, lease = unpack(ARGV, 1, 3)
local memory = tonumber(ARGV[4])
local peak = ARGV[5] == 'gpu' and 'peak_gpu_memory_bytes' or 'peak_memory_bytes'
if ledger_is_lost() then return redis.error_reply('LEDGERLOST') end

local function fits(id)
  return memory == 0 or tonumber(get_field(id, peak) or 0) <= memory
end

local below_limit = {} -- by tenant: one may have thousands of jobs in the queue
local function may_run(id)
  local tenant = tenant_of(id)
  if below_limit[tenant] == nil then
    local limit = tonumber(redis.call('HGET', ns .. ':running_limits', tenant) or ARGV[6])
    below_limit[tenant] = limit == 0 or redis.call('ZCARD', tenant_key(tenant, 'jobs:running')) < limit
  end
  return below_limit[tenant]
end

-- O(log n) per job looked at: one, plus those that cannot be claimed.
local function first_claimable(queue)
  local rank, id = 0
  repeat
    id = redis.call('ZRANGE', queue, rank, rank)[1]
    rank = rank + 1
  until not id or (fits(id) and may_run(id))
  return id
end

for i = 7, #ARGV do
  local queue = queue_key(ARGV[i])
  local id = first_claimable(queue)
  if id then
    dequeue(id)
    -- Speeds measured under the last claim, perhaps on another device.
    redis.call('HDEL', job_key(id), 'fraction_per_second', 'steps_per_second')
    redis.call('HSET', job_key(id), 'claim', token, 'worker', worker, 'lease_seconds', lease)
    if redis.call('HSETNX', job_key(id), 'started_at', now()) == 1 then add_to_outbox(id, 'started') end
    redis.call('HINCRBY', job_key(id), 'claims', 1)
    redis.call('ZADD', ns .. ':leases', now() + lease, id)
    change_state(id, 'running')
    return redis.call('HGETALL', job_key(id))
  end
end
return {}
