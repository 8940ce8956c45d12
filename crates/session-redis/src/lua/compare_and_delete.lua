-- Ends a session if it has this version: the second half of a replacement across two slots, or the rollback of the
-- first.
-- KEYS 1 session, 2 the index   ARGV 1 version, 2 now
-- One of: deleted, absent, changed
local stored = load_live(KEYS[1], tonumber(ARGV[2]))
if not stored then return 'absent' end
if sub(stored, 2, 13) ~= ARGV[1] then return 'changed' end
bury(KEYS[1])
call('HDEL', KEYS[2], id_in(KEYS[1]))
return 'deleted'
