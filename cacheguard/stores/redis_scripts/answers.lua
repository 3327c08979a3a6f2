-- ARGV: where to go on, how many. Answers, oldest first.
local found = {}
for _, member in ipairs(call('ZRANGE', T .. ':age', ARGV[1], '+', 'BYLEX', 'LIMIT', 0, ARGV[2])) do
  found[#found + 1] = whole(string.sub(member, 9), string.sub(member, 1, 8))
end
return found
