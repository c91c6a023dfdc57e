-- The ends of claims and jobs, and what each changes. `load_script` puts this file after fair_share.lua, before each script.

-- Has the contact sheet of a job's batch made, if this was its last job that had not ended. Jobs mostly end in the order of
-- the batch, so the last one is looked at first.
local function end_batch_of(id)
  local batch = get_field(id, 'batch')
  if not batch then return end
  for _, other in ipairs(redis.call('ZREVRANGE', batch_key(batch), 0, -1)) do
    local state = get_field(other, 'state')
    if state and not is_final(state) then return end
  end
  redis.call('ZADD', ns .. ':contact_sheets', now(), batch)
end

local function mark_ended(id, state)
  if get_field(id, 'state') == 'queued' then withdraw(id) else settle(id) end
  redis.call('ZREM', ns .. ':leases', id)
  redis.call('ZREM', ns .. ':fetches', id)
  redis.call('HDEL', job_key(id), 'waiting_for')
  redis.call('HSET', job_key(id), 'completed_at', now())
  if state == 'canceled' then redis.call('HSET', job_key(id), 'canceled_at', now()) end
  redis.call('ZADD', ns .. ':completed', now(), id)
  redis.call('ZADD', ns .. ':unfinalized', now(), id)
  change_state(id, state)
  add_to_outbox(id, state)
  end_batch_of(id)
end

-- Ends a claim without an outcome: the job returns to its queue, or is canceled if a cancel was requested meanwhile. Place
-- 'head' is where it was when it was claimed, 'tail' behind all other jobs of its tenant.
local function requeue(id, place)
  redis.call('HDEL', job_key(id), 'claim', 'worker')
  redis.call('ZREM', ns .. ':leases', id)
  if get_field(id, 'cancel_requested_at') then return mark_ended(id, 'canceled') end
  if place == 'head' then enqueue_at_head(id) else enqueue_after_slice(id) end
  change_state(id, 'queued')
end

-- Ends a claim whose holder is gone.
local function take_back(id)
  publish_event(id, 'lease_lost', cjson.encode({worker = get_field(id, 'worker') or '', at = tonumber(now())}))
  redis.call('HINCRBY', job_key(id), 'leases_lost', 1)
  redis.call('HSET', job_key(id), 'last_claim', get_field(id, 'claim') or '')
  requeue(id, 'head')
end
