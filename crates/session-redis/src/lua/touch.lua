-- KEYS 1 session, 2 its user's index (or KEYS[1])   ARGV 1 last_seen as in the header, 2 now, 3 id
-- One of: applied, absent
local now = tonumber(ARGV[2])
local stored = live(KEYS[1], now)
if not stored then return { 'absent' } end
if struct.unpack('>i6', ARGV[1]) > seen_of(stored) then
  local touched = with_seen(stored, ARGV[1])
  local _, text = life(deadline_of(touched), now)
  redis.call('SETRANGE', KEYS[1], 19, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], text)
  enter(KEYS[1], KEYS[2], ARGV[3], touched, now)
end
return { 'applied' }
