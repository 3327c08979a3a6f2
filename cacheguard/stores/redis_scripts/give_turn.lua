-- ARGV: scope, digest of the key, whose turn it was. Those who wait for it are told by the feed.
local turn = T .. ':turn:' .. ARGV[3] .. ':' .. ARGV[4]
local row = call('HMGET', turn, 'whose', 'awaited')
if row[1] == ARGV[5] then
  call('DEL', turn)
  if row[2] then
    tell(ARGV[3], 't', ARGV[4])
  end
end
return publish(1)
