-- KEYS 1 session, 2 the index   ARGV 1 last_seen as in the header, 2 now, 3 id
-- One of: applied, absent
local now = tonumber(ARGV[2])
local stored, seen = load_live(KEYS[1], now)
if not stored then return 'absent' end
if unpack('>i6', ARGV[1]) > seen then
  local ttl, entry = ttl_and_entry(sub(stored, 1, 19) .. ARGV[1] .. sub(stored, 26), now)
  call('SETRANGE', KEYS[1], 19, ARGV[1])
  call('PEXPIRE', KEYS[1], ttl)
  enter(KEYS[2], ARGV[3], entry, ttl)
end
return 'applied'
