-- KEYS[1]: the shard's tag. ARGV: the current model, how many. Phrasings whose vectors another model made.
local T, call = KEYS[1], redis.call
local found = {}
for _, model in ipairs(call('HKEYS', T .. ':models')) do
  if model ~= ARGV[1] then
    for _, scope in ipairs(call('SMEMBERS', T .. ':vs:' .. model)) do
      local left = ARGV[2] - #found
      if left > 0 then
        for _, id in ipairs(call('ZRANGE', T .. ':v:' .. model .. ':' .. scope, 0, left - 1)) do
          found[#found + 1] = {id, call('HMGET', T .. ':p:' .. id, 'a', 's', 'k', 'j')}
        end
      end
    end
  end
end
return found
