-- Whether the members of `index` are exactly the ids from ARGV[first] on.
local function members_are(index, first)
  if redis.call('HLEN', index) ~= #ARGV - first + 1 then return false end
  for i = first, #ARGV do
    if redis.call('HEXISTS', index, ARGV[i]) == 0 then return false end
  end
  return true
end

-- The reply to a caller whose list of members is out of date.
local function changed(index)
  local reply = redis.call('HKEYS', index)
  table.insert(reply, 1, 'changed')
  return reply
end
