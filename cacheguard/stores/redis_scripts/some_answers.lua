-- ARGV: ids. Those answers that there are.
local found = {}
for _, id in ipairs(ARGV) do
  local sorting = call('HGET', T .. ':a:' .. id, 'c')
  if sorting then
    found[#found + 1] = whole(id, sorting)
  end
end
return found
