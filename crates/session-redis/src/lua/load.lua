-- The header of the live record in `key`, and its last_seen; nothing if there is none.
local function load_live(key, now)
  local h = call('GETRANGE', key, 0, 34)
  if h == '' then return end
  local seen, deadline = alive(h, now)
  if not deadline then error({ err = 'CORRUPT the record has an unknown format' }) end
  if seen then return h, seen end
end
