-- Adds to the bytes that a tenant's images and jobs take, or subtracts from them; they are never below 0.
-- Writes stored_bytes. ARGV: tenant, bytes
local tenant, bytes = ARGV[1], tonumber(ARGV[2])
local stored = redis.call('HGET', ns .. ':stored_bytes', tenant)
if stored or bytes > 0 then
  redis.call('HSET', ns .. ':stored_bytes', tenant, math.max(0, (tonumber(stored) or 0) + bytes))
end
