-- Puts up to a thousand jobs into the lists of their tenants, for jobs that an older version created or changed.
-- Reads jobs, job:<id>; writes tenant:<tenant>:jobs, tenant:<tenant>:jobs:<state>. ARGV: the ID to start after, or ''
-- Returns the last ID that it added, or '' at the end.
local ids = redis.call('ZRANGEBYLEX', ns .. ':jobs', ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'LIMIT', 0, 1000)
for _, id in ipairs(ids) do
  for state in pairs(TRANSITIONS) do redis.call('ZREM', tenant_key(tenant_of(id), 'jobs:' .. state), id) end
  add_to_list('jobs', id)
  add_to_list('jobs:' .. get_field(id, 'state'), id)
end
return ids[#ids] or ''
