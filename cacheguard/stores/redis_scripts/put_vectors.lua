-- ARGV: a phrasing's id and its new vector, and so on. Phrasings that have none stay without.
for at = 3, #ARGV, 2 do
  local scope = call('HGET', T .. ':p:' .. ARGV[at], 's')
  if scope and call('HEXISTS', T .. ':p:' .. ARGV[at], 'm') == 1 then
    put_vector(ARGV[at], scope, ARGV[at + 1])
  end
end
return publish(1)
