-- ARGV: late, answer id, scope, tenant, route, text, creation (sortable), the rest as JSON, source id; then four
-- arguments for each phrasing. late: "1" for a write that waited; what was written meanwhile stays.
local late, id, scope, source = ARGV[3] == '1', ARGV[4], ARGV[5], ARGV[11]
local its_scope = call('HGET', T .. ':a:' .. id, 's')
if its_scope and its_scope ~= scope then
  return redis.error_reply('OTHERSCOPE')
end
if not its_scope and source ~= '' then
  local known = call('HGET', T .. ':src:' .. scope, source)
  id, its_scope = known or id, known and scope
end
local answer = T .. ':a:' .. id
if its_scope then
  local newer = late
    and cjson.decode(call('HGET', answer, 'm')).refreshed_at > cjson.decode(ARGV[10]).refreshed_at
  if not newer then
    call('HSET', answer, 't', ARGV[8], 'm', ARGV[10])
    tell(scope, 'a', id)
  end
else
  call('HSET', answer, 's', scope, 'n', ARGV[6], 'r', ARGV[7], 't', ARGV[8], 'c', ARGV[9], 'm', ARGV[10],
    'src', source)
  call('ZADD', T .. ':age', 0, ARGV[9] .. id)
  call('HINCRBY', T .. ':scopes', scope, 1)
  if source ~= '' then
    call('HSET', T .. ':src:' .. scope, source, id)
  end
end
local ids = {}
for at = 12, #ARGV, 4 do
  if not (late and call('HEXISTS', T .. ':k:' .. scope, ARGV[at]) == 1) then
    ids[#ids + 1] = put_phrasing(id, scope, ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
  end
end
drop_if_bare(id)
return publish(ids)
