-- KEYS 1 index, 2.. the sessions the caller knows of   ARGV 1 '1': only if these are all; 2.. their ids
-- done followed by id and record, without its values (empty where there is none), of each,
-- or changed followed by all ids
if ARGV[1] == '1' then
  local members = redis.call('HKEYS', KEYS[1])
  if not are_given(members, 2) then return changed(members) end
end
local reply = { 'done' }
for i = 2, #KEYS do
  reply[#reply + 1], reply[#reply + 2] = ARGV[i], beginning(KEYS[i])
end
return reply
