-- ARGV: answer id; then four arguments for each phrasing. Its result is false where the answer is not in this shard.
local id = ARGV[3]
local scope = call('HGET', T .. ':a:' .. id, 's')
if not scope then
  return publish(false)
end
local ids = {}
for at = 4, #ARGV, 4 do
  ids[#ids + 1] = put_phrasing(id, scope, ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
return publish(ids)
