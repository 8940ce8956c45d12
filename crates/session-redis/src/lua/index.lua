local SLACK = 60000 -- milliseconds a key outlives its deadline: the clocks of two nodes may differ

-- Whether an entry of an index has the form that this version knows.
local function is_known(entry) return #entry == 19 and string.byte(entry) == 1 end

-- Enters a session, whose key has `ttl` left, into an index, which lives as long as the last of them. With 'XX', only if it
-- is there already.
local function enter(index, id, entry, ttl, how)
  local old = call('HGET', index, id)
  if how == 'XX' and not old then return end
  if not old or is_known(old) then call('HSET', index, id, entry) end
  -- GT: only ever extended; NX: the index has no time to live yet.
  if call('PEXPIRE', index, ttl, 'GT') == 0 then call('PEXPIRE', index, ttl, 'NX') end
end
