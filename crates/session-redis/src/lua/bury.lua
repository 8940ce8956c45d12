-- Ends a session. For two minutes, which is longer than any driver repeats a command, its key holds one byte: the
-- tombstone that keeps a repeated or late `create` from bringing the session back.
local function bury(key) redis.call('SET', key, '\0', 'PX', 120000) end
