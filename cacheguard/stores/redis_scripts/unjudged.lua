-- KEYS[1]: the shard's tag. ARGV: route, how many. What was served there, newest first, that is still in the cache and
-- that nobody judged, each pair of question and answer once: {when it came, all of it as JSON}.
local T, call = KEYS[1], redis.call
local found, seen = {}, {}
local served = call('ZRANGE', T .. ':served:' .. ARGV[1], 0, -1, 'REV', 'WITHSCORES')
for at = 1, #served, 2 do
  if #found >= tonumber(ARGV[2]) then
    break
  end
  local id, came = served[at], served[at + 1]
  local all = call('HGET', T .. ':served', id)
  local one = all and cjson.decode(all)
  if one then
    local pair = cjson.encode({one.scope, one.key, one.answer_id})
    local phrasing = call('HMGET', T .. ':p:' .. one.phrasing_id, 'a', 'd')
    if not seen[pair] then
      seen[pair] = true
      if phrasing[1] == one.answer_id
        and call('HEXISTS', T .. ':said:' .. one.scope .. ':' .. one.digest, one.answer_id) == 0 then
        found[#found + 1] = {came, all}
      end
    end
  end
end
return found
