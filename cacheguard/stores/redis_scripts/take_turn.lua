-- KEYS[1]: the shard's tag. ARGV: scope, digest of the key, who asks, how long a turn lasts in milliseconds. How long
-- another's turn still lasts, 0 where it is ours now, or longer; and the newest entry of the feed.
local T, call = KEYS[1], redis.call
local turn = T .. ':turn:' .. ARGV[1] .. ':' .. ARGV[2]
local whose = call('HGET', turn, 'whose')
local newest = call('XREVRANGE', T .. ':feed', '+', '-', 'COUNT', 1)[1]
if whose and whose ~= ARGV[3] then
  call('HSET', turn, 'awaited', 1)
  return {call('PTTL', turn), newest and newest[1] or '0-0'}
end
call('HSET', turn, 'whose', ARGV[3])
call('PEXPIRE', turn, ARGV[4])
return {0, newest and newest[1] or '0-0'}
