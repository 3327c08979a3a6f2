-- KEYS[1]: the shard's tag. ARGV: scope, digest of the key. The phrasing and its answer, or nothing.
local T, call = KEYS[1], redis.call
local id = call('HGET', T .. ':k:' .. ARGV[1], ARGV[2])
if not id then
  return false
end
local phrasing = call('HMGET', T .. ':p:' .. id, 'a', 's', 'k', 'j')
local said = call('HGET', T .. ':said:' .. ARGV[1] .. ':' .. ARGV[2], phrasing[1])
if said and string.sub(said, 1, 1) == '0' then
  return false
end
return {id, phrasing, call('HMGET', T .. ':a:' .. phrasing[1], 'n', 'r', 't', 'c', 'm', 'src')}
