-- The order of the queues. `load_script` puts this file between common.lua and transitions.lua, before each script.
--
-- The tenants of a tier share its workers by start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996), all with the
-- same weight (docs/decisions/0010-fair-share.md). The start tag of a job is the virtual time at which it may start, and
-- the jobs with the lowest tags are claimed first. Virtual time is the highest tag that was claimed. A tenant's job starts
-- where the job before it ends: at that job's tag plus its charge. If a tenant has no such job, its next one starts now.
-- So the jobs of one tenant stay in the order of their submission, and many of one tenant do not delay the few of another.
--
-- A charge is the job's remaining cost, or that of one time slice. It is made in advance. Once the claim ends, what the
-- job has used is charged instead. If that is less, or if a queued job is canceled, the tenant's share ends earlier. Then
-- its first queued job moves forward to there, and each job behind it when it becomes the first.
--
-- Equal tags are ordered by ID, hence by time. Tags and costs are whole numbers, which doubles hold exactly up to 2^53.
--
-- <ns>:queue:<tier>                  zset    IDs of queued jobs by start tag, which is the record's `order`
-- <ns>:tenant_queue:<tier>:<tenant>  zset    those of one tenant
-- <ns>:virtual_time:<tier>           string
-- <ns>:share_end:<tier>              zset    tenants by the end of their share: the virtual time at which the last job ends
--                                            that was claimed; empty if nothing is queued, without those in the past
-- <ns>:slice_cost:<tier>             string  the most that a job has used in a time slice
--
-- Fields of the record: tier, tenant, cost, progress, order; of a claim: cost_at_claim (what remained), charged.

local function virtual_time_key(tier) return ns .. ':virtual_time:' .. tier end
local function share_end_key(tier) return ns .. ':share_end:' .. tier end
local function slice_cost_key(tier) return ns .. ':slice_cost:' .. tier end
local function tenant_queue_key(tier, tenant) return ns .. ':tenant_queue:' .. tier .. ':' .. tenant end

local function virtual_time(tier)
  local time = redis.call('GET', virtual_time_key(tier))
  if not time then -- of a new tier, or of a queue that an older version filled
    time = redis.call('ZRANGE', queue_key(tier), -1, -1, 'WITHSCORES')[2] or 0
    redis.call('SET', virtual_time_key(tier), time)
  end
  return tonumber(time)
end

-- Returns where the next job of a tenant may start if none is queued before it. Later than now, so that jobs that return
-- to the head, with tags that were claimed, are before it.
local function share_end(tier, tenant)
  return math.max(virtual_time(tier) + 1, tonumber(redis.call('ZSCORE', share_end_key(tier), tenant) or 0))
end

local function remaining_cost(id)
  local done = cjson.decode(get_field(id, 'progress')).percentage / 100
  return math.ceil(tonumber(get_field(id, 'cost') or 1) * (1 - done)) -- records of older versions have no cost
end

local function charge(id)
  local slice = tonumber(redis.call('GET', slice_cost_key(get_field(id, 'tier'))) or 2^53)
  return math.max(1, math.min(remaining_cost(id), slice))
end

local function set_start_tag(id, tag)
  local tier = get_field(id, 'tier')
  redis.call('ZADD', queue_key(tier), tag, id)
  redis.call('ZADD', tenant_queue_key(tier, tenant_of(id)), tag, id)
  redis.call('HSET', job_key(id), 'order', tag)
end

local function remove_from_queue(id, tier, tenant)
  redis.call('ZREM', queue_key(tier), id)
  redis.call('ZREM', tenant_queue_key(tier, tenant), id)
end

-- Returns a tenant's queued job at a rank, 0 for the first and -1 for the last, and its tag; nothing if there is none.
-- A worker of 0.2.0 claims jobs without removing them from the tenant's queue; here they are removed.
local function queued_job(tier, tenant, rank)
  local key = tenant_queue_key(tier, tenant)
  local id, tag = unpack(redis.call('ZRANGE', key, rank, rank, 'WITHSCORES'))
  if not id or redis.call('ZSCORE', queue_key(tier), id) then return id, tag end
  redis.call('ZREM', key, id)
  return queued_job(tier, tenant, rank)
end

-- Moves the first queued job of a tenant to the end of its share, if that is earlier.
local function pull_forward(tier, tenant)
  local first, tag = queued_job(tier, tenant, 0)
  if not first then return end
  local earliest = share_end(tier, tenant)
  if tonumber(tag) > earliest then set_start_tag(first, earliest) end
end

-- Adds a job behind all others of its tenant. The last of those may be one that returned to the head.
local function enqueue(id)
  local tier, tenant = get_field(id, 'tier'), tenant_of(id)
  local last, tag = queued_job(tier, tenant, -1)
  set_start_tag(id, math.max(share_end(tier, tenant), last and tag + charge(last) or 0))
end

-- Adds a new job: to its queue, or to those whose images are to be fetched first, which are behind all others.
local function enqueue_or_fetch(id)
  if not get_field(id, 'waiting_for') then return enqueue(id) end
  redis.call('HSET', job_key(id), 'order', 2^53)
  redis.call('ZADD', ns .. ':fetches', 0, id)
end

-- Adds a job that was claimed, where it was then: before all that were not.
local function enqueue_at_head(id)
  set_start_tag(id, tonumber(get_field(id, 'order')))
end

-- Removes a job that is claimed, and charges its tenant.
local function dequeue(id)
  local tier, tenant, tag, charged = get_field(id, 'tier'), tenant_of(id), tonumber(get_field(id, 'order')), charge(id)
  local time = math.max(virtual_time(tier), tag)
  remove_from_queue(id, tier, tenant)
  redis.call('HSET', job_key(id), 'cost_at_claim', remaining_cost(id), 'charged', charged)
  redis.call('ZADD', share_end_key(tier), math.max(share_end(tier, tenant), tag + charged), tenant)
  redis.call('SET', virtual_time_key(tier), time)
  redis.call('ZREMRANGEBYSCORE', share_end_key(tier), '-inf', time)
  if redis.call('ZCARD', queue_key(tier)) == 0 then redis.call('DEL', share_end_key(tier)) end
  pull_forward(tier, tenant)
end

-- Returns what a job has used under its claim.
local function used(id)
  return (tonumber(get_field(id, 'cost_at_claim')) or 0) - remaining_cost(id)
end

-- Charges the tenant for what a running job has used, instead of what it was charged in advance.
local function settle(id)
  local tier, tenant, charged = get_field(id, 'tier'), tenant_of(id), get_field(id, 'charged')
  if not charged or not redis.call('ZSCORE', share_end_key(tier), tenant) then return end
  redis.call('ZINCRBY', share_end_key(tier), used(id) - charged, tenant)
  pull_forward(tier, tenant)
end

-- Removes a queued job that will not run. One that returned to the head was charged for what remained.
local function withdraw(id)
  local tier, tenant = get_field(id, 'tier'), tenant_of(id)
  remove_from_queue(id, tier, tenant)
  settle(id)
  pull_forward(tier, tenant)
end

-- Adds a job whose time slice has ended behind all others of its tenant.
local function enqueue_after_slice(id)
  local key = slice_cost_key(get_field(id, 'tier'))
  redis.call('SET', key, math.max(1, used(id), tonumber(redis.call('GET', key)) or 0))
  settle(id)
  redis.call('HDEL', job_key(id), 'charged', 'cost_at_claim')
  enqueue(id)
end
