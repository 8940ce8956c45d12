-- KEYS 1 index, of a user or of visitors; 2.. the sessions the caller knows of
-- ARGV 1 '1': only if these are all, 2 now, 3 id to keep; 4.. their ids
-- done followed by the ids of those that were alive, or changed followed by all ids
if ARGV[1] == '1' and not members_are(KEYS[1], 4) then return changed(KEYS[1]) end
local reply = { 'done' }
for i = 2, #KEYS do
  local id = ARGV[i + 2]
  -- Another version may keep something else in the index.
  if id ~= ARGV[3] and #id == 22 then
    local stored = call('GETRANGE', KEYS[i], 0, 37)
    if is_record(stored) then
      local seen, deadline = alive(stored, tonumber(ARGV[2]))
      -- What cannot be read may have been alive.
      if seen or not deadline then reply[#reply + 1] = id end
    end
    bury(KEYS[i], is_of_visitors(KEYS[1]))
    call('HDEL', KEYS[1], id)
  end
end
return reply
