-- Deletes a session if it has a version: the second half of a replacement across two slots, or the undoing of the first.
-- KEYS 1 session, 2 its user's index (or KEYS[1])   ARGV 1 version, 2 now, 3 id
-- One of: deleted, absent, changed
local stored = live(KEYS[1], tonumber(ARGV[2]))
if not stored then return { 'absent' } end
if version_of(stored) ~= ARGV[1] then return { 'changed' } end
redis.call('UNLINK', KEYS[1])
if KEYS[2] ~= KEYS[1] then redis.call('HDEL', KEYS[2], ARGV[3]) end
return { 'deleted' }
