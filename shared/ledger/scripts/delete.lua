-- Deletes an ended job: job:<id>, events:<id>, previews:<id>, deliveries:<id>, outbox:<event>, idempotency:<key>, and its
-- entries in jobs, jobs:<state>, completed, unfinalized, outbox, batch:<id>. An idempotency key of a batch goes with its last
-- job.
-- ARGV: id
-- Returns 'deleted', 'missing', or 'running' if the job has not ended.
local id = ARGV[1]
local state = get_field(id, 'state')
if not state then return 'missing' end
if not is_final(state) then return 'running' end
local batch = get_field(id, 'batch')
if batch then redis.call('ZREM', batch_key(batch), id) end
local key = cjson.decode(get_field(id, 'request')).idempotency_key
if type(key) == 'string' and not (batch and redis.call('EXISTS', batch_key(batch)) == 1) then
  local idempotency = idempotency_key(tenant_of(id), key)
  if (redis.call('GET', idempotency) or ''):match('%S+$') == (batch or id) then redis.call('DEL', idempotency) end
end
drop_outbox_events(id)
remove_from_list('jobs', id)
remove_from_list('jobs:' .. state, id)
redis.call('ZREM', ns .. ':completed', id)
redis.call('ZREM', ns .. ':unfinalized', id)
redis.call('DEL', job_key(id), ns .. ':events:' .. id, previews_key(id), ns .. ':deliveries:' .. id)
return 'deleted'
