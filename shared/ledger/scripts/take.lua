-- Takes the event that is due and has waited longest, to send it. Those for receivers that are busy step back.
-- Writes outbox, letter:<event>; reads job:<id>.
-- ARGV: token, lease in seconds, seconds to step back, then busy receivers
-- Returns {event, receiver, how often it was taken}, or nothing where none is due.
local token, lease, back = unpack(ARGV, 1, 3)
local busy = {}
for i = 4, #ARGV do busy[ARGV[i]] = true end

for _, event in ipairs(redis.call('ZRANGEBYSCORE', ns .. ':outbox', '-inf', now(), 'LIMIT', 0, 1000)) do
  local url = get(event:match('^(.*)-'), 'webhook_url')
  local receiver = url and url:match('^[^/]*//([^/?#]*)')
  if not receiver then
    drop(event)
  elseif busy[receiver] then
    redis.call('ZADD', ns .. ':outbox', now() + back, event)
  else
    local letter = ns .. ':letter:' .. event
    redis.call('ZADD', ns .. ':outbox', now() + lease, event)
    redis.call('HSET', letter, 'token', token)
    return {event, receiver, redis.call('HINCRBY', letter, 'attempt', 1)}
  end
end
return {}
