-- Puts an outbox event back whose attempt was not made, so that it does not count; only the sender that has it may.
-- Writes outbox, outbox:<event>. ARGV: event, token, seconds until it is due
local event, token, seconds = unpack(ARGV)
local event_key = ns .. ':outbox:' .. event
if redis.call('HGET', event_key, 'token') ~= token then return end
redis.call('HDEL', event_key, 'token')
redis.call('HINCRBY', event_key, 'attempt', -1)
redis.call('ZADD', ns .. ':outbox', now() + seconds, event)
