-- Takes the head of the first line that has one. Writes queue:<tier>, leases, job:<id>, events:<id>.
-- ARGV: token, worker, lease in seconds, then tiers in the order they are served
-- Returns the record as fields and values, or nothing where nobody waits.
local token, worker, lease = unpack(ARGV, 1, 3)
if lost() then return redis.error_reply('LEDGERLOST') end
for i = 4, #ARGV do
  local id = redis.call('ZPOPMIN', queue(ARGV[i]))[1]
  if id then
    redis.call('HSET', job(id), 'claim', token, 'worker', worker)
    redis.call('HSETNX', job(id), 'started_at', now())
    redis.call('HINCRBY', job(id), 'epoch', 1)
    redis.call('ZADD', ns .. ':leases', now() + lease, id)
    move(id, 'running')
    return redis.call('HGETALL', job(id))
  end
end
return {}
