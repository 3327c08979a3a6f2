-- KEYS[1]: the shard's tag. ARGV: ids of phrasings. Those that there are, and their answers, each once.
local T, call = KEYS[1], redis.call
local phrasings, answers, seen = {}, {}, {}
for _, id in ipairs(ARGV) do
  local row = call('HMGET', T .. ':p:' .. id, 'a', 's', 'k', 'j')
  if row[1] then
    phrasings[#phrasings + 1] = {id, row}
    if not seen[row[1]] then
      seen[row[1]] = true
      answers[#answers + 1] = {row[1], call('HMGET', T .. ':a:' .. row[1], 'n', 'r', 't', 'c', 'm', 'src')}
    end
  end
end
return {phrasings, answers}
