-- Looks at the keys of one server. No KEYS: which they are is what it finds out. A key that is on its way to another
-- server cannot be read here.
-- ARGV 1 the server that the cursor is of; 2 cursor; 3 prefix of all keys; 4 about how many keys
-- the server, the next cursor, then key and record, without its values (nil if it cannot be read), of each session
local here, cursor = server(), ARGV[2]
-- A cursor means nothing to another server, such as a replica that was promoted.
if ARGV[1] ~= here then cursor = '0' end
local found = redis.call('SCAN', cursor, 'COUNT', ARGV[4])
local reply = { here, found[1] }
for _, key in ipairs(found[2]) do
  if is_session(key, ARGV[3]) then
    local is_here, record = pcall(beginning, key)
    reply[#reply + 1], reply[#reply + 2] = key, is_here and record
  end
end
return reply
