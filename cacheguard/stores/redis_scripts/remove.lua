-- ARGV: the filter as JSON; then ids of answers, of which those that fit go. Its result: how many went.
local which = cjson.decode(ARGV[3])

local function fits(answer)
  local row = call('HMGET', answer, 'n', 'r', 'm')
  if not row[1] or (which.tenant and which.tenant ~= row[1]) or (which.route and which.route ~= row[2]) then
    return false
  end
  local rest = cjson.decode(row[3])
  if which.model and which.model ~= rest.provenance.model then
    return false
  end
  if which.refreshed_before and rest.refreshed_at >= which.refreshed_before then
    return false
  end
  local is_tagged = not which.tag
  for _, tag in ipairs(rest.tags) do
    is_tagged = is_tagged or tag == which.tag
  end
  return is_tagged
end

local gone = 0
for at = 4, #ARGV do
  if fits(T .. ':a:' .. ARGV[at]) then
    local ids = call('SMEMBERS', T .. ':o:' .. ARGV[at])
    for _, id in ipairs(ids) do
      drop_phrasing(id)
    end
    gone = gone + 1
  end
end
return publish(gone)
