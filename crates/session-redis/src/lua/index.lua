local SLACK = 60000 -- milliseconds a key outlives its deadline: the clocks of two nodes may differ

-- Enters a session, whose key lives on for `ttl`, into the index of its user, which lives as long as the last of them.
local function enter(index, id, entry, ttl)
  call('HSET', index, id, entry)
  if call('PTTL', index) < ttl then call('PEXPIRE', index, string.format('%.0f', ttl)) end
end
