-- KEYS[1]: a shard's tag. ARGV: route, the version that it follows or "", body, who, when. The version, or as a
-- negative number, less one, the newest one in the way.
local T, call = KEYS[1], redis.call
local newest = call('LLEN', T .. ':rules:' .. ARGV[1])
if ARGV[2] ~= '' and tonumber(ARGV[2]) ~= newest then
  return -1 - newest
end
local rule = cjson.encode({ARGV[1], tostring(newest + 1), ARGV[3], ARGV[4], ARGV[5]})
call('RPUSH', T .. ':rules:' .. ARGV[1], rule)
call('HSET', T .. ':rules', ARGV[1], rule)
return newest + 1
