-- Whether `members`, all that an index has, are exactly the ids from ARGV[first] on.
local function are_given(members, first)
  if #members ~= #ARGV - first + 1 then return false end
  local given = {}
  for i = first, #ARGV do given[ARGV[i]] = true end
  for _, member in ipairs(members) do
    if not given[member] then return false end
  end
  return true
end

-- The reply to a caller whose list of members is out of date.
local function changed(members)
  table.insert(members, 1, 'changed')
  return members
end
