-- KEYS 1 session, 2 the index   ARGV 1 now, as last_seen in the header
-- One of: applied, absent
local now = unpack('>i6', ARGV[1])
local stored, seen = load_live(KEYS[1], now)
if not stored then return 'absent' end
if now > seen then
  local ttl, entry = ttl_and_entry(sub(stored, 1, 19) .. ARGV[1] .. sub(stored, 26), now)
  call('SETRANGE', KEYS[1], '19', ARGV[1])
  call('PEXPIRE', KEYS[1], ttl)
  enter(KEYS[2], id_in(KEYS[1]), entry, ttl)
end
return 'applied'
