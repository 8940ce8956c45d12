local LAST = 2 ^ 47 - 1 -- the last time that 48 bits can hold

-- What follows from a header: the time to live of its key, and its entry in the user's index, which is the version of
-- this form, created_at, last_seen, deadline.
local function ttl_and_entry(h, now)
  local _, deadline = alive(h, now)
  local ttl = string.format('%d', math.max(deadline - now, 0) + SLACK)
  return ttl, '\1' .. sub(h, 14, 25) .. struct.pack('>i6', math.min(deadline, LAST))
end
