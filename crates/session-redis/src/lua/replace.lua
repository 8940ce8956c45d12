-- An update that moves no deadline: the time to live and the index stay as they are. Most updates are such.
-- KEYS 1 session   ARGV 1 value; 2 what the record that it replaces begins with, up to its timeouts; 3 the channel for
--      changes, if any
-- 1, or the same of what is stored instead
local stored = redis.call('GETRANGE', KEYS[1], '0', '34')
if stored ~= ARGV[2] then return stored end
tell(ARGV[3], 'c' .. string.sub(KEYS[1], -22) .. string.sub(ARGV[1], 2, 13))
redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL')
return 1
