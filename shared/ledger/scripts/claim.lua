-- Takes the first job that the worker has the memory for, from the first line that has one. Misfits keep their places.
-- Writes queue:<tier>, leases, job:<id>, jobs:<state>, events:<id>, outbox; of the misfits before it reads job:<id>.
-- ARGV: token, worker, lease in seconds, memory in bytes or 0 for any, whether it is "host" or "gpu" memory, then tiers in
-- the order they are served
-- Returns the record as fields and values, or nothing where no such job waits.
local token, worker, lease = unpack(ARGV, 1, 3)
local memory = tonumber(ARGV[4])
local peak = ARGV[5] == 'gpu' and 'peak_gpu_memory_bytes' or 'peak_memory_bytes'
if lost() then return redis.error_reply('LEDGERLOST') end

local function fits(id)
  return memory == 0 or tonumber(get(id, peak) or 0) <= memory
end

-- O(log n), and as much again for each misfit on the way.
local function first_fit(line)
  local rank, id = 0
  repeat
    id = redis.call('ZRANGE', line, rank, rank)[1]
    rank = rank + 1
  until not id or fits(id)
  return id
end

for i = 6, #ARGV do
  local line = queue(ARGV[i])
  local id = first_fit(line)
  if id then
    redis.call('ZREM', line, id)
    redis.call('HDEL', job(id), 'pace', 'steps_per_second')  -- another claim's, perhaps of another device
    redis.call('HSET', job(id), 'claim', token, 'worker', worker)
    if redis.call('HSETNX', job(id), 'started_at', now()) == 1 then post(id, 'started') end
    redis.call('HINCRBY', job(id), 'epoch', 1)
    redis.call('ZADD', ns .. ':leases', now() + lease, id)
    move(id, 'running')
    return redis.call('HGETALL', job(id))
  end
end
return {}
