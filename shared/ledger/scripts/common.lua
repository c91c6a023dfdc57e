-- Shared helpers. `load_script` in shared/redis_client.py prepends this file to every script, and puts three constants from
-- shared/jobs/job.py before it: TRANSITIONS (state -> set of next states), OUTBOX_KINDS (webhook events without "job.") and
-- GIVE_UP_SECONDS (the age at which the last delivery attempt is made).
--
-- <ns>:ledger               string  ledger ID; while it is missing, nothing is created, claimed or reaped
-- <ns>:rebuilding:<marker>  string  exists as long as Redis keeps what a running rebuild restored
-- <ns>:job:<id>             hash    job record (class Job in shared/jobs/job.py)
-- <ns>:events:<id>          stream  events of the job
-- <ns>:previews:<id>        hash    filmstrip: step -> "<time> <blob key>" of the preview
-- <ns>:queue:<tier>         zset    IDs of queued jobs; this and the keys that order it: fair_share.lua
-- <ns>:leases               zset    IDs of running jobs by lease expiry
-- <ns>:jobs, :jobs:<state>  zset    IDs, all scores 0: UUIDv7 sorts by time
-- <ns>:tenant:<tenant>:jobs, :jobs:<state>  the same of each tenant
-- <ns>:batch:<id>           zset    IDs of the jobs of a batch, all scores 0, without those that were deleted
-- <ns>:contact_sheets       zset    batches whose contact sheet is to be made, by when that was asked for
-- <ns>:contact_sheet:<id>   string  exists for a while after a task was sent that makes the contact sheet of a batch
-- <ns>:fetches              zset    IDs of queued jobs that wait for images to be fetched, by when the next attempt is due
-- <ns>:batch_fetcher:<id>   string  token of the process that fetches the images of a batch, until its lease expires
-- <ns>:completed            zset    IDs of ended jobs by end time, until the job is deleted
-- <ns>:unfinalized          zset    IDs of ended jobs by end time, until final.json is in the blob store
-- <ns>:idempotency:<key>    string  "<digest> <id>", of the tenant `default`
-- <ns>:tenant:<tenant>:idempotency:<key>  the same of each other tenant
-- <ns>:tenant:<tenant>:pixel_evaluations:<day>  string  of the jobs submitted on that day since the epoch
-- <ns>:tenant:<tenant>:requests             string  see count_request.lua
-- <ns>:stored_bytes         hash    bytes that tenants store, see shared/tenants/stored_bytes.py
-- <ns>:running_limits       hash    running jobs that a tenant may have, of tenants with such a quota of their own
-- <ns>:outbox               zset    webhook events to send, "<id>-<kind>", by due time
-- <ns>:outbox:<event>       hash    attempt count of such an event, and the token of the sender that has taken it
-- <ns>:deliveries:<id>      list    one JSON object per delivery attempt, oldest first
--
-- Keys that no script touches: tenants_listed (shared/ledger/ledger.py), workers (shared/ledger/queue_stats.py),
-- run_history, revoked_session:<id>, signing_secret, audit, stored_bytes_measured, write_check.
local ns = KEYS[1]

local function now()
  local time = redis.call('TIME')
  return string.format('%d.%06d', time[1], time[2])
end

local function job_key(id) return ns .. ':job:' .. id end
local function previews_key(id) return ns .. ':previews:' .. id end
local function queue_key(tier) return ns .. ':queue:' .. tier end
local function get_field(id, field) return redis.call('HGET', job_key(id), field) end
local function tenant_of(id) return get_field(id, 'tenant') or 'default' end -- older records have none
local function ledger_is_lost() return redis.call('EXISTS', ns .. ':ledger') == 0 end
local function batch_key(batch) return ns .. ':batch:' .. batch end
local function holds_claim(id, token) return token ~= '' and get_field(id, 'claim') == token end
local function is_final(state) return next(TRANSITIONS[state]) == nil end

local function tenant_key(tenant, name) return ns .. ':tenant:' .. tenant .. ':' .. name end

-- Adds to the pixel evaluations that a tenant has submitted today; returns false, with nothing added, above the limit, if it
-- is not 0.
local function charge_day(tenant, limit, cost)
  local used = tenant_key(tenant, 'pixel_evaluations:' .. math.floor(tonumber(now()) / 86400))
  if limit > 0 and (tonumber(redis.call('GET', used)) or 0) + cost > limit then return false end
  redis.call('INCRBY', used, cost)
  redis.call('EXPIRE', used, 2 * 86400)
  return true
end

local function idempotency_key(tenant, key)
  return tenant == 'default' and ns .. ':idempotency:' .. key or tenant_key(tenant, 'idempotency:' .. key)
end

-- `list` is 'jobs' or 'jobs:<state>'. The record must exist.
local function add_to_list(list, id)
  redis.call('ZADD', ns .. ':' .. list, 0, id)
  redis.call('ZADD', tenant_key(tenant_of(id), list), 0, id)
end

local function remove_from_list(list, id)
  redis.call('ZREM', ns .. ':' .. list, id)
  redis.call('ZREM', tenant_key(tenant_of(id), list), id)
end

local function publish_event(id, kind, data)
  redis.call('XADD', ns .. ':events:' .. id, 'MAXLEN', '~', 5000, '*', 'kind', kind, 'data', data)
end

-- Writes ARGV[first], ARGV[first + 1], ... as fields and values of the record.
local function set_fields(id, first)
  if #ARGV >= first then redis.call('HSET', job_key(id), unpack(ARGV, first)) end
end

local function drop_outbox_event(event)
  redis.call('ZREM', ns .. ':outbox', event)
  redis.call('DEL', ns .. ':outbox:' .. event)
end

local function drop_outbox_events(id)
  for _, kind in ipairs(OUTBOX_KINDS) do drop_outbox_event(id .. '-' .. kind) end
end

-- Adds an event to the outbox if the job's webhook subscribes to it. An event of one kind happens at most once per job,
-- so "<id>-<kind>" identifies it permanently.
local function add_to_outbox(id, kind)
  local subscribed = ' ' .. (get_field(id, 'webhook_events') or '') .. ' '
  if not subscribed:find(' job.' .. kind .. ' ', 1, true) or get_field(id, 'webhook_disabled') == '1' then return end
  redis.call('ZADD', ns .. ':outbox', 'NX', now(), id .. '-' .. kind)
end

local function change_state(id, to)
  local from = get_field(id, 'state')
  if not TRANSITIONS[from][to] then error('illegal transition of ' .. id .. ': ' .. from .. ' to ' .. to) end
  remove_from_list('jobs:' .. from, id)
  add_to_list('jobs:' .. to, id)
  redis.call('HSET', job_key(id), 'state', to)
  publish_event(id, 'state', cjson.encode({state = to, at = tonumber(now())}))
end
