-- ARGV, for each label: scope, digest and text of its key, answer id, route, whether it is right, its time, and the
-- whole label, which sorts by its time. Of two labels of one time the later one decides.
for at = 3, #ARGV, 8 do
  local scope, digest, key, answer_id = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local right, time = ARGV[at + 5], tonumber(ARGV[at + 6])
  if call('ZADD', T .. ':l:' .. ARGV[at + 4], 0, ARGV[at + 7]) == 1 then
    call('HINCRBY', META, 'labels', 1)
  end
  local said = T .. ':said:' .. scope .. ':' .. digest
  local before = call('HGET', said, answer_id)
  if not before or tonumber(string.sub(before, 2)) <= time then
    call('HSET', said, answer_id, right .. ARGV[at + 6])
    tell(scope, 'k', key)
    tell(scope, right == '1' and 'y' or 'x', answer_id)
    local pair = cjson.encode({scope, key, answer_id})
    if right == '1' then
      call('SREM', T .. ':barred', pair)
    else
      call('SADD', T .. ':barred', pair)
    end
  else
    tell(scope, 'k', key)
  end
end
return publish(1)
