-- Renews a lease and writes the holder's progress. Writes leases, job:<id>, events:<id>, previews:<id>.
-- A late renewal counts as long as the record holds the token: only the reaper takes a claim away.
-- An event of kind 'acknowledged' also sets the field acknowledged_at. One of kind 'preview' also adds the field `preview` to
-- the filmstrip, replacing an earlier preview of the same step, and updates the number of previews.
-- ARGV: id, token, lease in seconds, event kind or '', event data, then fields and values
-- Returns {cancel requested, finish requested, number of queued jobs in the tier}, or nothing if the claim is lost.
local id, token, lease, kind, data = unpack(ARGV, 1, 5)
if not holds_claim(id, token) then return {} end
redis.call('ZADD', ns .. ':leases', now() + lease, id)
set_fields(id, 6)
if kind ~= '' then publish_event(id, kind, data) end
local preview = kind == 'preview' and get_field(id, 'preview')
if preview then
  redis.call('HSET', previews_key(id), cjson.decode(data).step, now() .. ' ' .. preview)
  redis.call('HSET', job_key(id), 'previews', redis.call('HLEN', previews_key(id)))
end
if kind == 'acknowledged' then redis.call('HSETNX', job_key(id), 'acknowledged_at', now()) end
return {
  get_field(id, 'cancel_requested_at') and 1 or 0,
  get_field(id, 'finish_requested_at') and 1 or 0,
  redis.call('ZCARD', queue_key(get_field(id, 'tier'))),
}
