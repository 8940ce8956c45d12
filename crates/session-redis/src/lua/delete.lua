-- KEYS 1 session, 2 the index   ARGV 1 the owner as in the record, 2 the channel for changes, if any
-- One of: deleted, absent
local stored = call('GETRANGE', KEYS[1], 0, 37 + #ARGV[1])
local found = is_record(stored)
if found then
  local _, deadline = alive(stored, 0)
  if not deadline then corrupt() end
  if sub(stored, 39) ~= ARGV[1] then return 'absent' end
end
tell(ARGV[2], 'e' .. id_in(KEYS[1]))
bury(KEYS[1])
call('HDEL', KEYS[2], id_in(KEYS[1]))
return found and 'deleted' or 'absent'
