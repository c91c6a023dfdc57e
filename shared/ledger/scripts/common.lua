-- Stands before every act. Written in front of it: LEGAL, the table of transitions, from shared/jobs/job.py, and EVENTS, of which
-- webhooks are told, without their "job.", and GIVE_UP_SECONDS, after which they are told no more, from there, too.
--
-- <ns>:ledger               string  the ledger's id; while it is missing nothing is created, claimed or reaped
-- <ns>:rebuilding:<w>      string  stands for as long as what a rebuilding restored
-- <ns>:order                counter places in the waiting lines
-- <ns>:job:<id>             hash    the record (shared/jobs/job.py, class Job)
-- <ns>:events:<id>          stream  what happened to it
-- <ns>:previews:<id>        hash    step to "<when> <blob key>" of each preview: the filmstrip
-- <ns>:queue:<tier>         zset    waiting ids by order
-- <ns>:leases               zset    running ids by the time their lease ends
-- <ns>:jobs, :jobs:<state>  zset    ids, all scores 0: UUIDv7 sorts by time
-- <ns>:completed            zset    ids by the time they ended, until they are deleted
-- <ns>:unsealed             zset    ids that ended, until the blob store knows of it, by the time they ended
-- <ns>:idempotency:<key>    string  "<digest> <id>"
-- <ns>:outbox               zset    events to be sent to webhooks, "<id>-<kind>", by when they are due
-- <ns>:letter:<event>       hash    of such an event: how often it was tried, who has it in hand
-- <ns>:deliveries:<id>      list    how each try went, as JSON, oldest first
local ns = KEYS[1]

local function now()
  local time = redis.call('TIME')
  return string.format('%d.%06d', time[1], time[2])
end

local function job(id) return ns .. ':job:' .. id end
local function previews(id) return ns .. ':previews:' .. id end
local function queue(tier) return ns .. ':queue:' .. tier end
local function get(id, field) return redis.call('HGET', job(id), field) end
local function lost() return redis.call('EXISTS', ns .. ':ledger') == 0 end
local function holds(id, token) return token ~= '' and get(id, 'claim') == token end

local function say(id, kind, data)
  redis.call('XADD', ns .. ':events:' .. id, 'MAXLEN', '~', 5000, '*', 'kind', kind, 'data', data)
end

-- Writes ARGV[first], ARGV[first + 1], ... as fields and values of the record.
local function set_fields(id, first)
  if #ARGV >= first then redis.call('HSET', job(id), unpack(ARGV, first)) end
end

local function drop(event)
  redis.call('ZREM', ns .. ':outbox', event)
  redis.call('DEL', ns .. ':letter:' .. event)
end

local function drop_all(id)
  for _, kind in ipairs(EVENTS) do drop(id .. '-' .. kind) end
end

-- Puts what happened into the outbox, where the job's webhook asks for it. It can happen once, so this is its id for ever.
local function post(id, kind)
  local wanted = ' ' .. (get(id, 'webhook_events') or '') .. ' '
  if not wanted:find(' job.' .. kind .. ' ', 1, true) or get(id, 'webhook_disabled') == '1' then return end
  redis.call('ZADD', ns .. ':outbox', 'NX', now(), id .. '-' .. kind)
end

local function move(id, to)
  local from = get(id, 'state')
  if not LEGAL[from][to] then error('illegal transition of ' .. id .. ': ' .. from .. ' to ' .. to) end
  redis.call('ZREM', ns .. ':jobs:' .. from, id)
  redis.call('ZADD', ns .. ':jobs:' .. to, 0, id)
  redis.call('HSET', job(id), 'state', to)
  say(id, 'state', cjson.encode({state = to, at = tonumber(now())}))
end

local function finish(id, state)
  redis.call('ZREM', queue(get(id, 'tier')), id)
  redis.call('ZREM', ns .. ':leases', id)
  redis.call('HSET', job(id), 'completed_at', now())
  if state == 'canceled' then redis.call('HSET', job(id), 'canceled_at', now()) end
  redis.call('ZADD', ns .. ':completed', now(), id)
  redis.call('ZADD', ns .. ':unsealed', now(), id)
  move(id, state)
  post(id, state)
end

-- Ends a claim without an outcome: back into its line, or out of it where a cancel came meanwhile.
local function put_back(id, order)
  redis.call('HDEL', job(id), 'claim', 'worker')
  redis.call('ZREM', ns .. ':leases', id)
  if get(id, 'cancel_requested_at') then return finish(id, 'canceled') end
  redis.call('HSET', job(id), 'order', order)
  redis.call('ZADD', queue(get(id, 'tier')), order, id)
  move(id, 'queued')
end
