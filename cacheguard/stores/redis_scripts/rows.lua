-- What all scripts that write have in common. KEYS[1]: the shard's tag, which begins the names of all its keys.
-- ARGV[1]: fingerprint of the model. ARGV[2]: how many entries of the feed are kept. What is theirs begins at ARGV[3].
local T, MODEL, HISTORY = KEYS[1], ARGV[1], ARGV[2]
local META = T .. ':meta'
local call = redis.call

-- Events of one change go into the feed as one entry: {kind, value, kind, value, ...}. Kinds: s the scope of what
-- follows, a an answer replaced or gone, p a phrasing and k a folded text touched, + and - a vector come or gone,
-- x and y the answer is barred, or not any more, for the text told before it.
local events, scope_told = {}, nil

local function tell(scope, kind, value)
  if scope ~= scope_told then
    events[#events + 1], events[#events + 2] = 's', scope
    scope_told = scope
  end
  events[#events + 1], events[#events + 2] = kind, value
end

-- The entry's id and the events, for the process that wrote; the numbers n have no gaps, so that a reader sees one.
local function publish(result)
  if #events == 0 then
    return {result, '', ''}
  end
  local told = cjson.encode(events)
  local n = call('HINCRBY', META, 'told', 1)
  return {result, call('XADD', T .. ':feed', 'MAXLEN', '=', HISTORY, '*', 'n', n, 'e', told), told}
end

-- Microseconds of this server's clock, and never one twice: an id that was given out before a crash took its trace
-- with it is not given again. 16 shards share the numbers, which stay exact in a double until 2042.
local function new_id()
  local time = call('TIME')
  local now = (time[1] - 1735689600) * 1000000 + time[2]
  local last = tonumber(call('HGET', META, 'last') or 0)
  local next = math.max(last + 1, now)
  call('HSET', META, 'last', string.format('%.0f', next))
  return string.format('%.0f', next * 16 + tonumber(string.match(T, '(%d+)}')))
end

local function drop_vector(id, scope)
  local model = call('HGET', T .. ':p:' .. id, 'm')
  if not model then
    return
  end
  local of_scope = T .. ':v:' .. model .. ':' .. scope
  call('HDEL', T .. ':p:' .. id, 'm', 'v')
  call('ZREM', of_scope, id)
  if call('EXISTS', of_scope) == 0 then
    call('SREM', T .. ':vs:' .. model, scope)
  end
  if call('HINCRBY', T .. ':models', model, -1) == 0 then
    call('HDEL', T .. ':models', model)
  end
  return true
end

local function put_vector(id, scope, vector)
  drop_vector(id, scope)
  call('HSET', T .. ':p:' .. id, 'm', MODEL, 'v', vector)
  call('ZADD', T .. ':v:' .. MODEL .. ':' .. scope, id, id)
  call('SADD', T .. ':vs:' .. MODEL, scope)
  call('HINCRBY', T .. ':models', MODEL, 1)
  tell(scope, '+', id)
end

local function drop_if_bare(answer_id)
  if call('EXISTS', T .. ':o:' .. answer_id) == 1 then
    return
  end
  local answer = T .. ':a:' .. answer_id
  local row = call('HMGET', answer, 's', 'src', 'c')
  local scope, source = row[1], row[2]
  call('DEL', answer)
  call('ZREM', T .. ':age', row[3] .. answer_id)
  if source ~= '' and call('HGET', T .. ':src:' .. scope, source) == answer_id then
    call('HDEL', T .. ':src:' .. scope, source)
  end
  if call('HINCRBY', T .. ':scopes', scope, -1) == 0 then
    call('HDEL', T .. ':scopes', scope)
  end
  tell(scope, 'a', answer_id)
end

local function drop_phrasing(id)
  local row = call('HMGET', T .. ':p:' .. id, 'a', 's', 'd', 'k')
  local answer_id, scope = row[1], row[2]
  if not answer_id then
    return false
  end
  if drop_vector(id, scope) then
    tell(scope, '-', id)
  end
  call('DEL', T .. ':p:' .. id)
  call('HDEL', T .. ':k:' .. scope, row[3])
  call('HINCRBY', META, 'phrasings', -1)
  call('SREM', T .. ':o:' .. answer_id, id)
  tell(scope, 'p', id)
  tell(scope, 'k', row[4])
  drop_if_bare(answer_id)
  return true
end

-- Add the phrasing, or move it here; its id. new: digest, key, the rest as JSON, vector or "".
local function put_phrasing(answer_id, scope, digest, key, rest, vector)
  local by_key = T .. ':k:' .. scope
  local id = call('HGET', by_key, digest)
  local former = id and call('HGET', T .. ':p:' .. id, 'a')
  if not id then
    id = new_id()
    call('HSET', by_key, digest, id)
    call('HINCRBY', META, 'phrasings', 1)
  end
  call('HSET', T .. ':p:' .. id, 'a', answer_id, 's', scope, 'd', digest, 'k', key, 'j', rest)
  call('SADD', T .. ':o:' .. answer_id, id)
  tell(scope, 'p', id)
  tell(scope, 'k', key)
  if former and former ~= answer_id then
    call('SREM', T .. ':o:' .. former, id)
    drop_if_bare(former)
  end
  if vector ~= '' then
    put_vector(id, scope, vector)
  elseif drop_vector(id, scope) then
    tell(scope, '-', id)
  end
  return id
end
