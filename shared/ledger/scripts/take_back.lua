-- Takes back the claim of a worker process that died. A job that ended, or has another holder, stays as it is.
-- Writes leases, job:<id>, the keys of fair_share.lua, jobs:<state>, events:<id>, outbox. ARGV: id, token
-- Returns the job's new state, 'queued' or 'canceled'; nothing if the claim was lost or released before.
local id, token = unpack(ARGV, 1, 2)
if ledger_is_lost() then return redis.error_reply('LEDGERLOST') end
if not holds_claim(id, token) then return false end
take_back(id)
return get_field(id, 'state')
