-- Reads jobs, all at the same moment. Writes nothing.
-- ARGV: IDs
-- Returns {ledger ID or false, Redis' time, for each ID {ID of the last event, position in the queue or 0, when its lease
-- expires or false, record as fields and values}}
local function last_event_id(id)
  local event = redis.call('XREVRANGE', ns .. ':events:' .. id, '+', '-', 'COUNT', 1)[1]
  return event and event[1] or '0-0'
end

local function position(id)
  local tier = get_field(id, 'tier')
  local rank = tier and redis.call('ZRANK', queue_key(tier), id)
  return rank and rank + 1 or 0
end

local reply = {redis.call('GET', ns .. ':ledger'), now()}
for _, id in ipairs(ARGV) do
  reply[#reply + 1] = {last_event_id(id), position(id), redis.call('ZSCORE', ns .. ':leases', id), redis.call('HGETALL', job_key(id))}
end
return reply
