-- Counts a request of a tenant, unless it has none left: the generic cell rate algorithm, as one time per tenant.
-- Writes tenant:<tenant>:requests, the time at which all requests of the window are available again.
-- ARGV: tenant, requests per second, seconds of the window, whose requests may all be sent at once
-- Returns {1 or 0 if it was refused, requests left, seconds until all are available, seconds until the next one is}
local tenant, rate, window = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local key, at = tenant_key(tenant, 'requests'), tonumber(now())
local full_at = math.max(tonumber(redis.call('GET', key) or 0), at)
local next_at = full_at + 1 / rate - window
local allowed = next_at <= at + 1e-6
if allowed then
  full_at = full_at + 1 / rate
  redis.call('SET', key, string.format('%.6f', full_at), 'EX', math.ceil(full_at - at))
end
local left = math.floor((window - (full_at - at)) * rate + 1e-3)
return {allowed and 1 or 0, math.max(0, left), math.ceil(full_at - at), math.ceil(next_at - at)}
