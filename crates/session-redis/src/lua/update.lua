-- KEYS 1 session; with a user: 2 the index
-- ARGV 1 value, 2 now, 3 expected version, 4 last_seen of the value, 5 ttl; with a user: 6 id, 7 entry
-- One of: applied, conflict, absent
--
-- Writes optimistically and rolls back on a mismatch: the script is atomic, and reading first would cost every update
-- one more command.
local value, now, ttl, entry = ARGV[1], tonumber(ARGV[2]), ARGV[5], ARGV[7]
local stored = call('SET', KEYS[1], value, 'XX', 'GET', 'PX', ttl)
if not stored then return 'absent' end
local seen, deadline = alive(stored, now)
if seen and sub(stored, 2, 13) == ARGV[3] then
  if seen > tonumber(ARGV[4]) then -- touched since the caller read it
    value = sub(value, 1, 19) .. sub(stored, 20, 25) .. sub(value, 26)
    ttl, entry = ttl_and_entry(value, now)
    call('SET', KEYS[1], value, 'PX', ttl)
  end
  if KEYS[2] then enter(KEYS[2], ARGV[6], entry, ttl) end
  return 'applied'
end
call('SET', KEYS[1], stored, 'PX', deadline and ttl_and_entry(stored, now) or ttl)
if not deadline then error({ err = 'CORRUPT the record has an unknown format' }) end
if not seen then return 'absent' end
return sub(stored, 2, 13) == sub(value, 2, 13) and 'applied' or 'conflict'
