-- KEYS[1]: the shard's tag. ARGV: model, scope, the id to go on after, how many. Ids, and their vectors as one string.
local T, call = KEYS[1], redis.call
local of_scope = T .. ':v:' .. ARGV[1] .. ':' .. ARGV[2]
local ids = call('ZRANGE', of_scope, '(' .. ARGV[3], '+inf', 'BYSCORE', 'LIMIT', 0, ARGV[4])
local vectors = {}
for at, id in ipairs(ids) do
  vectors[at] = call('HGET', T .. ':p:' .. id, 'v')
end
return {ids, table.concat(vectors)}
