-- KEYS 1 session; with a user: 2 the index
-- ARGV 1 value, 2 now, 3 expected version, 4 last_seen of the value, 5 how long its key lives on;
--      with a user: 6 id, 7 entry
-- One of: applied, conflict, absent
local now, value, ttl, entry = tonumber(ARGV[2]), ARGV[1], ARGV[5], ARGV[7]
local stored, seen = live(KEYS[1], now)
if not stored then return 'absent' end
local version = sub(stored, 2, 13)
if version ~= ARGV[3] then return version == sub(value, 2, 13) and 'applied' or 'conflict' end
if seen > tonumber(ARGV[4]) then -- somebody touched it since the caller read it
  value = sub(value, 1, 19) .. sub(stored, 20, 25) .. sub(value, 26)
  ttl, entry = settle(value, now)
end
call('SET', KEYS[1], value, 'PX', ttl)
if KEYS[2] then enter(KEYS[2], ARGV[6], entry, tonumber(ttl)) end
return 'applied'
