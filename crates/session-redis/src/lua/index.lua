local SLACK = 60000 -- milliseconds a key outlives its deadline: the clocks of two nodes may differ

-- Enters a session, which lives for `ttl`, into the index of its user. The index gets more than it needs, so that it is
-- raised rarely.
local function enter(index, id, entry, ttl)
  call('HSET', index, id, entry)
  if call('PTTL', index) < ttl then call('PEXPIRE', index, string.format('%.0f', ttl + SLACK)) end
end
