-- Takes back the claims whose lease has expired; safe to run any number of times concurrently.
-- Writes leases, job:<id>, queue:<tier>, jobs:<state>, events:<id>, outbox.
-- Returns {id, 'queued'|'canceled', ...}. A requeued job keeps its order: the head of the queue when it was claimed.
if ledger_is_lost() then return redis.error_reply('LEDGERLOST') end
local reply = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', ns .. ':leases', '-inf', now())) do
  publish_event(id, 'lease_lost', cjson.encode({worker = get_field(id, 'worker') or '', at = tonumber(now())}))
  redis.call('HINCRBY', job_key(id), 'leases_lost', 1)
  redis.call('HSET', job_key(id), 'last_claim', get_field(id, 'claim') or '')
  requeue(id, get_field(id, 'order'))
  table.insert(reply, id)
  table.insert(reply, get_field(id, 'state'))
end
return reply
