-- Reads jobs as they stand, all at the same moment. Writes nothing.
-- ARGV: ids
-- Returns {the ledger's id or false, {newest event's id, place in line or 0, record as fields and values} for each}
local function newest(id)
  local event = redis.call('XREVRANGE', ns .. ':events:' .. id, '+', '-', 'COUNT', 1)[1]
  return event and event[1] or '0-0'
end

local function place(id)
  local tier = get(id, 'tier')
  local rank = tier and redis.call('ZRANK', queue(tier), id)
  return rank and rank + 1 or 0
end

local seen = {redis.call('GET', ns .. ':ledger')}
for _, id in ipairs(ARGV) do
  seen[#seen + 1] = {newest(id), place(id), redis.call('HGETALL', job(id))}
end
return seen
