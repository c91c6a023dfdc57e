-- Takes back the claims whose lease has expired; safe to run any number of times concurrently.
-- Writes leases, job:<id>, the keys of fair_share.lua, jobs:<state>, events:<id>, outbox.
-- Returns {id, 'queued'|'canceled', ...}.
if ledger_is_lost() then return redis.error_reply('LEDGERLOST') end
local reply = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', ns .. ':leases', '-inf', now())) do
  take_back(id)
  table.insert(reply, id)
  table.insert(reply, get_field(id, 'state'))
end
return reply
