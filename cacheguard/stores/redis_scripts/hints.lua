-- KEYS[1]: a shard's tag. ARGV: who, what it says or "", how long that holds in milliseconds. What the others say.
local T, call = KEYS[1], redis.call
if ARGV[2] == '' then
  call('HDEL', T .. ':hints', ARGV[1])
else
  call('HSET', T .. ':hints', ARGV[1], ARGV[2])
  call('HPEXPIRE', T .. ':hints', ARGV[3], 'FIELDS', 1, ARGV[1])
end
local others = {}
local said = call('HGETALL', T .. ':hints')
for at = 1, #said, 2 do
  if said[at] ~= ARGV[1] then
    others[#others + 1] = said[at + 1]
  end
end
return others
