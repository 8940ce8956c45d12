-- KEYS 1 session, 2 its user's index (or KEYS[1])   ARGV 1 value, 2 now, 3 id, 4 expected version
-- One of: applied, conflict, absent
local now = tonumber(ARGV[2])
local stored = live(KEYS[1], now)
if not stored then return { 'absent' } end
if version_of(stored) == version_of(ARGV[1]) then return { 'applied' } end
if version_of(stored) ~= ARGV[4] then return { 'conflict' } end
local value = ARGV[1]
if seen_of(stored) > seen_of(value) then value = with_seen(value, string.sub(stored, 20, 25)) end
put(KEYS[1], KEYS[2], ARGV[3], value, now)
return { 'applied' }
