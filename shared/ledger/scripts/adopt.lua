-- Declares Redis to be the ledger again after a rebuilding, unless it lost its memory once more meanwhile.
-- Reads rebuilding:<witness>, writes ledger. ARGV: witness, the ledger's id
-- Returns 1; 0 where the witness has gone.
local witness, identity = unpack(ARGV)
if redis.call('DEL', ns .. ':rebuilding:' .. witness) == 0 then return 0 end
redis.call('SET', ns .. ':ledger', identity, 'NX')
return 1
