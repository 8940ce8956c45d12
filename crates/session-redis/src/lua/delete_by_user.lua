-- KEYS 1 index, of a user or of visitors; 2.. the sessions the caller knows of
-- ARGV 1 '1': only if these are all, else '0'; then the channel for changes, if any; 2 id to keep; 3.. their ids
-- done followed by id and record, without its values (empty where there was none), of each that was deleted,
-- or changed followed by all ids
if string.sub(ARGV[1], 1, 1) == '1' then
  local members = redis.call('HKEYS', KEYS[1])
  if not are_given(members, 3) then return changed(members) end
end
-- Another version may keep something else in the index.
local function ends(id) return id ~= ARGV[2] and #id == 22 end
local reply, ended = { 'done' }, {}
for i = 2, #KEYS do
  if ends(ARGV[i + 1]) then ended[#ended + 1] = 'e' .. ARGV[i + 1] end
end
tell(string.sub(ARGV[1], 2), table.concat(ended))
for i = 2, #KEYS do
  local id = ARGV[i + 1]
  if ends(id) then
    reply[#reply + 1], reply[#reply + 2] = id, beginning(KEYS[i])
    bury(KEYS[i], is_of_visitors(KEYS[1]))
    redis.call('HDEL', KEYS[1], id)
  end
end
return reply
