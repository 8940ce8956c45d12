local SLACK = 60000 -- milliseconds a key outlives its deadline: the clocks of two nodes may differ

-- Enters a session, whose key has `ttl` left, into the index of its user, which lives as long as the last of them.
local function enter(index, id, entry, ttl)
  call('HSET', index, id, entry)
  -- GT: only ever extended; NX: the index has no time to live yet.
  if call('PEXPIRE', index, ttl, 'GT') == 0 then call('PEXPIRE', index, ttl, 'NX') end
end
