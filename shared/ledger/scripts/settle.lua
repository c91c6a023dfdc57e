-- Writes down how a try to send an event went, for who has it in hand only.
-- Writes outbox, letter:<event>, deliveries:<id>; of a receiver that is gone job:<id>.
-- ARGV: event, token, account of the try (JSON), seconds until the next one or '' for none, 'gone' or ''
-- Returns 1; 0 where another has taken it, or its job was deleted.
local event, token, account, pause, gone = unpack(ARGV)
local letter, id = ns .. ':letter:' .. event, event:match('^(.*)-')
if redis.call('HGET', letter, 'token') ~= token then return 0 end
redis.call('RPUSH', ns .. ':deliveries:' .. id, account)
if gone ~= '' then
  redis.call('HSET', job(id), 'webhook_disabled', 1)
  drop_all(id)
elseif pause == '' then
  drop(event)
else
  redis.call('HDEL', letter, 'token')
  redis.call('ZADD', ns .. ':outbox', now() + pause, event)
end
return 1
