-- Forgets a finished job. Deletes job:<id>, events:<id>, previews:<id>, deliveries:<id>, its letters, idempotency:<key>;
-- writes jobs, jobs:<state>, completed, unsealed, outbox.
-- ARGV: id
-- Returns 'deleted', 'missing', or 'running' where the job has not ended.
local id = ARGV[1]
local state = get(id, 'state')
if not state then return 'missing' end
if next(LEGAL[state]) ~= nil then return 'running' end
local key = cjson.decode(get(id, 'request')).idempotency_key
if type(key) == 'string' then
  local remembered = ns .. ':idempotency:' .. key
  if (redis.call('GET', remembered) or ''):match('%S+$') == id then redis.call('DEL', remembered) end
end
drop_all(id)
redis.call('DEL', job(id), ns .. ':events:' .. id, previews(id), ns .. ':deliveries:' .. id)
for _, index in ipairs({':jobs', ':jobs:' .. state, ':completed', ':unsealed'}) do redis.call('ZREM', ns .. index, id) end
return 'deleted'
