-- Records a delivery attempt of an outbox event; only the sender that has taken the event may.
-- Writes outbox, outbox:<event>, deliveries:<id>; for a receiver that is gone also job:<id>.
-- ARGV: event, token, attempt (JSON), seconds until the next one or '' for none, 'gone' or ''
-- Returns 1; 0 if another sender has taken the event, or its job was deleted.
local event, token, attempt, retry_in, gone = unpack(ARGV)
local event_key, id = ns .. ':outbox:' .. event, event:match('^(.*)-')
if redis.call('HGET', event_key, 'token') ~= token then return 0 end
redis.call('RPUSH', ns .. ':deliveries:' .. id, attempt)
if gone ~= '' then
  redis.call('HSET', job_key(id), 'webhook_disabled', 1)
  drop_outbox_events(id)
elseif retry_in == '' then
  drop_outbox_event(event)
else
  redis.call('HDEL', event_key, 'token')
  redis.call('ZADD', ns .. ':outbox', now() + retry_in, event)
end
return 1
