-- Ends a session. For two minutes, which is longer than any driver repeats a command, its key holds one byte: the
-- tombstone that keeps a repeated or late `create` from bringing the session back. It takes a third of the memory of a
-- visitor: of one that ends for another, it stays for five seconds, or a script that begins thousands a second fills the
-- server with tombstones.
local function bury(key, is_crowded_out) redis.call('SET', key, '\0', 'PX', is_crowded_out and '5000' or '120000') end
