-- KEYS 1 index, 2.. the sessions the caller knows of   ARGV 1 '1': only if these are all, 2 id to keep; 3.. their ids
-- done followed by the ids that were deleted, or changed followed by all ids
if ARGV[1] == '1' and not members_are(KEYS[1], 3) then return changed(KEYS[1]) end
local reply = { 'done' }
for i = 2, #KEYS do
  local id = ARGV[i + 1]
  if id ~= ARGV[2] then
    if redis.call('UNLINK', KEYS[i]) == 1 then reply[#reply + 1] = id end
    redis.call('HDEL', KEYS[1], id)
  end
end
return reply
