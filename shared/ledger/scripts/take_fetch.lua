-- Takes a job whose images are to be fetched, or renews its lease. Writes fetches, job:<id>.
-- ARGV: id, token of the fetcher, lease in seconds
-- Returns how often the job was taken; 0 if it does not wait for images, is not due yet, or is held by another fetcher.
local id, token, lease = unpack(ARGV)
local due = redis.call('ZSCORE', ns .. ':fetches', id)
if not due or ledger_is_lost() then return 0 end
if get_field(id, 'fetch_token') ~= token then
  if tonumber(due) > tonumber(now()) then return 0 end
  redis.call('HSET', job_key(id), 'fetch_token', token)
  redis.call('HINCRBY', job_key(id), 'fetch_attempts', 1)
end
redis.call('ZADD', ns .. ':fetches', now() + lease, id)
return tonumber(get_field(id, 'fetch_attempts'))
