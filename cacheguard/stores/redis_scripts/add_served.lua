-- KEYS[1]: the shard's tag. ARGV: how many are kept by route; then for each: completion id, route, the time where it
-- is a hit or "", and all of it as JSON.
local T, call = KEYS[1], redis.call
local time = call('TIME')
local now = time[1] * 1000000 + time[2]

local function trim(of_route)
  local over = call('ZCARD', of_route) - ARGV[1]
  if over > 0 then
    for _, id in ipairs(call('ZRANGE', of_route, 0, over - 1)) do
      call('HDEL', T .. ':served', id)
    end
    call('ZREMRANGEBYRANK', of_route, 0, over - 1)
  end
end

for at = 2, #ARGV, 4 do
  local id, route = ARGV[at], ARGV[at + 1]
  call('HSET', T .. ':served', id, ARGV[at + 3])
  -- In the order of coming, within one call too.
  call('ZADD', T .. ':served:' .. route, string.format('%.0f', now + (at - 2) / 4), id)
  trim(T .. ':served:' .. route)
  if ARGV[at + 2] ~= '' then
    call('ZADD', T .. ':hits:' .. route, ARGV[at + 2], id)
    call('ZREMRANGEBYRANK', T .. ':hits:' .. route, 0, -1 - ARGV[1])
  end
end
return 1
