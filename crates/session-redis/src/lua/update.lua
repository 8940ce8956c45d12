-- KEYS 1 session, 2 the index
-- ARGV 1 value, 2 now, 3 expected version, 4 ttl, 5 entry, 6 the channel for changes, if any
-- One of: applied, conflict, absent
local value, now, ttl, entry = ARGV[1], tonumber(ARGV[2]), ARGV[4], ARGV[5]
local stored, seen = load_live(KEYS[1], now)
if not stored then return 'absent' end
if sub(stored, 2, 13) == sub(value, 2, 13) then return 'applied' end -- by this call, which is repeated
if sub(stored, 2, 13) ~= ARGV[3] then return 'conflict' end
if seen > unpack('>i6', value, 20) then -- touched since the caller read it
  value = sub(value, 1, 19) .. sub(stored, 20, 25) .. sub(value, 26)
  ttl, entry = ttl_and_entry(value, now)
end
tell(ARGV[6], 'c' .. id_in(KEYS[1]) .. sub(value, 2, 13))
call('SET', KEYS[1], value, 'PX', ttl)
enter(KEYS[2], id_in(KEYS[1]), entry, ttl)
return 'applied'
