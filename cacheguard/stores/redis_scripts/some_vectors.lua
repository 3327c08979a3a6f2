-- KEYS[1]: the shard's tag. ARGV: model, scope, then ids. As vectors.lua, of those that the scope has.
local T, call = KEYS[1], redis.call
local ids, vectors = {}, {}
for at = 3, #ARGV do
  local row = call('HMGET', T .. ':p:' .. ARGV[at], 's', 'm', 'v')
  if row[1] == ARGV[2] and row[2] == ARGV[1] then
    ids[#ids + 1], vectors[#vectors + 1] = ARGV[at], row[3]
  end
end
return {ids, table.concat(vectors)}
