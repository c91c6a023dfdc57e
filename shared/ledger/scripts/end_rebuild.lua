-- Makes Redis the ledger again after a rebuild, unless it lost its data once more in the meantime.
-- Reads rebuilding:<marker>, writes ledger. ARGV: marker, ledger ID
-- Returns 1; 0 if the marker is gone.
local marker, identity = unpack(ARGV)
if redis.call('DEL', ns .. ':rebuilding:' .. marker) == 0 then return 0 end
redis.call('SET', ns .. ':ledger', identity, 'NX')
return 1
