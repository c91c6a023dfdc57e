-- Takes back the claims whose lease has run out; safe to run any number of times at once.
-- Writes leases, job:<id>, queue:<tier>, jobs:<state>, events:<id>, outbox. ARGV: attempts limit, error (JSON) for a job past it
-- Returns {id, 'queued'|'canceled'|'failed', ...}. The job keeps its place, which was the head when it was claimed.
local limit, exhausted = unpack(ARGV)
if lost() then return redis.error_reply('LEDGERLOST') end
local outcome = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', ns .. ':leases', '-inf', now())) do
  say(id, 'lease_lost', cjson.encode({worker = get(id, 'worker') or '', at = tonumber(now())}))
  if redis.call('HINCRBY', job(id), 'attempts', 1) >= tonumber(limit) and not get(id, 'cancel_requested_at') then
    redis.call('HDEL', job(id), 'claim', 'worker')
    redis.call('HSET', job(id), 'error', exhausted)
    finish(id, 'failed')
  else
    redis.call('HSET', job(id), 'last_claim', get(id, 'claim') or '')
    put_back(id, get(id, 'order'))
  end
  table.insert(outcome, id)
  table.insert(outcome, get(id, 'state'))
end
return outcome
