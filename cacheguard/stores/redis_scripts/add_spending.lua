-- KEYS[1]: a shard's tag. ARGV: the name of this call, then keys with their US dollars. The sums of the keys. A call
-- that is sent again, because its answer was lost, adds nothing.
local T, call = KEYS[1], redis.call
local is_new = call('SET', T .. ':once:' .. ARGV[1], 1, 'NX', 'EX', 60)
local sums = {}
for at = 2, #ARGV, 2 do
  if is_new and tonumber(ARGV[at + 1]) ~= 0 then
    sums[#sums + 1] = call('HINCRBYFLOAT', T .. ':spent', ARGV[at], ARGV[at + 1])
  else
    sums[#sums + 1] = call('HGET', T .. ':spent', ARGV[at]) or '0'
  end
end
return sums
