-- KEYS 1 index, 2.. the sessions the caller knows of   ARGV 1 '1': only if these are all; 2.. their ids
-- done followed by id and record, without its values (empty where there is none), of each, or changed followed by all ids
if ARGV[1] == '1' and not members_are(KEYS[1], 2) then return changed(KEYS[1]) end
local reply = { 'done' }
for i = 2, #KEYS do
  -- Most are shorter than this.
  local record = redis.call('GETRANGE', KEYS[i], 0, 1023)
  local values = 38
  if #record > 37 and string.byte(record) == 3 then values = struct.unpack('>I3', record, 36) end
  if values > #record then record = redis.call('GETRANGE', KEYS[i], 0, values - 1) end
  reply[#reply + 1], reply[#reply + 2] = ARGV[i], string.sub(record, 1, values)
end
return reply
