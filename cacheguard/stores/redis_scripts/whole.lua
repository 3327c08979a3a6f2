-- What scripts that read answers whole have in common. KEYS[1]: the shard's tag.
local T, call = KEYS[1], redis.call

-- How it sorts, its fields, and its phrasings.
local function whole(id, sorting)
  local phrasings = {}
  for _, of in ipairs(call('SMEMBERS', T .. ':o:' .. id)) do
    phrasings[#phrasings + 1] = {of, call('HMGET', T .. ':p:' .. of, 'a', 's', 'k', 'j')}
  end
  return {sorting .. id, call('HMGET', T .. ':a:' .. id, 'n', 'r', 't', 'c', 'm', 'src'), phrasings}
end
