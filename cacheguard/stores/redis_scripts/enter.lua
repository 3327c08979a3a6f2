-- KEYS[1]: the shard's tag. ARGV: version of the layout, number of shards. What the shard is, where its feed stands,
-- and all that somebody called wrong: {version, shards, born, number and id of the newest entry, barred pairs}.
local T, call = KEYS[1], redis.call
local META = T .. ':meta'
local time = call('TIME')
call('HSETNX', META, 'version', ARGV[1])
call('HSETNX', META, 'shards', ARGV[2])
call('HSETNX', META, 'born', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
local row = call('HMGET', META, 'version', 'shards', 'born', 'told')
local newest = call('XREVRANGE', T .. ':feed', '+', '-', 'COUNT', 1)[1]
return {row[1], row[2], row[3], row[4] or '0', newest and newest[1] or '0-0', call('SMEMBERS', T .. ':barred')}
