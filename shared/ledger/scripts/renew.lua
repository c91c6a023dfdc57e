-- Renews a lease and writes what its holder reports. Writes leases, job:<id>, events:<id>, previews:<id>.
-- A late renewal counts as long as the token still stands: only the reaper takes a claim away.
-- An event of the kind 'acknowledged' also writes the field acknowledged_at; one of the kind 'preview' puts the field
-- preview into the filmstrip, in the place of an earlier one of the same step, and counts it.
-- ARGV: id, token, lease in seconds, event kind or '', event data, then fields and values
-- Returns {cancel requested, finish requested, number waiting in the tier}, or nothing where the claim is lost.
local id, token, lease, kind, data = unpack(ARGV, 1, 5)
if not holds(id, token) then return {} end
redis.call('ZADD', ns .. ':leases', now() + lease, id)
set_fields(id, 6)
if kind ~= '' then say(id, kind, data) end
local picture = kind == 'preview' and get(id, 'preview')
if picture then
  redis.call('HSET', previews(id), cjson.decode(data).step, now() .. ' ' .. picture)
  redis.call('HSET', job(id), 'previews', redis.call('HLEN', previews(id)))
end
if kind == 'acknowledged' then redis.call('HSETNX', job(id), 'acknowledged_at', now()) end
return {
  get(id, 'cancel_requested_at') and 1 or 0,
  get(id, 'finish_requested_at') and 1 or 0,
  redis.call('ZCARD', queue(get(id, 'tier'))),
}
