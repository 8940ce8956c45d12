local SLACK = 60000 -- milliseconds a key outlives its deadline: the clocks of two nodes may differ

-- Whether an entry of an index has the form that this version knows.
local function is_known(entry) return #entry == 19 and string.byte(entry) == 1 end

-- Enters a session, whose key has `ttl` left, into an index, which lives as long as the last of them.
local function enter(index, id, entry, ttl, is_new)
  local is_added = is_new and call('HSETNX', index, id, entry) == 1
  if not is_added then
    local old = call('HGET', index, id)
    -- An anonymous session that is not there was created without a limit.
    if not old and is_of_visitors(index) then return end
    if not old or is_known(old) then is_added = call('HSET', index, id, entry) == 1 end
  end
  -- GT: only ever extended; NX: an index that begins with this entry has no time to live yet.
  if call('PEXPIRE', index, ttl, 'GT') == 0 and is_added then call('PEXPIRE', index, ttl, 'NX') end
end
