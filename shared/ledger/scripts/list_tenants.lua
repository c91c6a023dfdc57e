-- Adds up to a thousand jobs to the lists of their tenants, for jobs that an older version created.
-- Reads jobs, job:<id>; writes tenant:<tenant>:jobs, tenant:<tenant>:jobs:<state>. ARGV: the ID to start after, or ''
-- Returns the last ID that it added, or '' at the end.
local ids = redis.call('ZRANGEBYLEX', ns .. ':jobs', ARGV[1] == '' and '-' or '(' .. ARGV[1], '+', 'LIMIT', 0, 1000)
for _, id in ipairs(ids) do
  add_to_list('jobs', id)
  add_to_list('jobs:' .. get_field(id, 'state'), id)
end
return ids[#ids] or ''
