-- Takes the due event that has waited longest, under a lease. Events for busy receivers are postponed.
-- Writes outbox, outbox:<event>; reads job:<id>.
-- ARGV: token, lease in seconds, seconds to postpone, then busy receivers
-- Returns {event, receiver, number of times it was taken}, or nothing if none is due.
local token, lease, postpone = unpack(ARGV, 1, 3)
local busy = {}
for i = 4, #ARGV do busy[ARGV[i]] = true end

for _, event in ipairs(redis.call('ZRANGEBYSCORE', ns .. ':outbox', '-inf', now(), 'LIMIT', 0, 1000)) do
  local url = get_field(event:match('^(.*)-'), 'webhook_url')
  local receiver = url and url:match('^[^/]*//([^/?#]*)')
  if not receiver then
    drop_outbox_event(event)
  elseif busy[receiver] then
    redis.call('ZADD', ns .. ':outbox', now() + postpone, event)
  else
    local event_key = ns .. ':outbox:' .. event
    redis.call('ZADD', ns .. ':outbox', now() + lease, event)
    redis.call('HSET', event_key, 'token', token)
    return {event, receiver, redis.call('HINCRBY', event_key, 'attempt', 1)}
  end
end
return {}
