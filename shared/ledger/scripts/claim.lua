-- Claims the first queued job that fits into the worker's memory, from the first tier that has one. Jobs that do not fit
-- keep their positions.
-- Writes the keys of fair_share.lua, leases, job:<id>, jobs:<state>, events:<id>, outbox; reads job:<id> of the jobs that do
-- not fit.
-- ARGV: token, worker, lease in seconds, memory in bytes or 0 for any, "host" or "gpu" memory, then the tiers in the order
-- in which they are served
-- Returns the record as fields and values, or nothing if no job fits.
local token, worker, lease = unpack(ARGV, 1, 3)
local memory = tonumber(ARGV[4])
local peak = ARGV[5] == 'gpu' and 'peak_gpu_memory_bytes' or 'peak_memory_bytes'
if ledger_is_lost() then return redis.error_reply('LEDGERLOST') end

local function fits(id)
  return memory == 0 or tonumber(get_field(id, peak) or 0) <= memory
end

-- O(log n) per job looked at: one, plus those that do not fit.
local function first_that_fits(queue)
  local rank, id = 0
  repeat
    id = redis.call('ZRANGE', queue, rank, rank)[1]
    rank = rank + 1
  until not id or fits(id)
  return id
end

for i = 6, #ARGV do
  local queue = queue_key(ARGV[i])
  local id = first_that_fits(queue)
  if id then
    dequeue(id)
    -- Speeds measured under the last claim, perhaps on another device.
    redis.call('HDEL', job_key(id), 'fraction_per_second', 'steps_per_second')
    redis.call('HSET', job_key(id), 'claim', token, 'worker', worker)
    if redis.call('HSETNX', job_key(id), 'started_at', now()) == 1 then add_to_outbox(id, 'started') end
    redis.call('HINCRBY', job_key(id), 'claims', 1)
    redis.call('ZADD', ns .. ':leases', now() + lease, id)
    change_state(id, 'running')
    return redis.call('HGETALL', job_key(id))
  end
end
return {}
