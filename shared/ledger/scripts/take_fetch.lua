-- Takes a job whose images are to be fetched, or renews its lease. Writes fetches, job:<id>, batch_fetcher:<batch>.
-- ARGV: id, token of the fetcher, lease in seconds, token of its process
-- Returns how often the job was taken; 0 if it does not wait for images, is not due yet, or is held by another fetcher. One
-- process at a time takes jobs of a batch, because it downloads what they share once.
local id, token, lease, process = unpack(ARGV)
local due, batch = redis.call('ZSCORE', ns .. ':fetches', id), get_field(id, 'batch')
if not due or ledger_is_lost() then return 0 end
local batch_fetcher = batch and ns .. ':batch_fetcher:' .. batch
if batch and (redis.call('GET', batch_fetcher) or process) ~= process then return 0 end
if get_field(id, 'fetch_token') ~= token then
  if tonumber(due) > tonumber(now()) then return 0 end
  redis.call('HSET', job_key(id), 'fetch_token', token)
  redis.call('HINCRBY', job_key(id), 'fetch_attempts', 1)
end
redis.call('ZADD', ns .. ':fetches', now() + lease, id)
if batch then redis.call('SET', batch_fetcher, process, 'PX', math.ceil(lease * 1000)) end
return tonumber(get_field(id, 'fetch_attempts'))
