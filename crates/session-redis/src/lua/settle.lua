local LAST = 2 ^ 47 - 1 -- the last time that there is a form for

-- What follows from a header: how long its key lives on, and its entry in the index by user, which is created_at,
-- last_seen, deadline.
local function settle(h, now)
  local created, seen, idle, absolute = unpack('>i6i6I5I5', h, 14)
  local deadline = math.min(seen + idle, created + absolute)
  local ttl = string.format('%.0f', math.max(deadline - now, 0) + SLACK)
  return ttl, sub(h, 14, 25) .. struct.pack('>i6', math.min(deadline, LAST))
end
