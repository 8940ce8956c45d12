-- KEYS 1 session, 2 its user's index (or KEYS[1])   ARGV 1 last_seen as in the header, 2 now, 3 id
-- One of: applied, absent
local now = tonumber(ARGV[2])
local stored = live(KEYS[1], now)
if not stored then return { 'absent' } end
if struct.unpack('>i6', ARGV[1]) > seen_of(stored) then
  redis.call('SETRANGE', KEYS[1], 19, ARGV[1])
  settle(KEYS[1], KEYS[2], ARGV[3], now)
end
return { 'applied' }
