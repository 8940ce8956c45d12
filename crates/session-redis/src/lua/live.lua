-- The header of the live record in `key`, and its last_seen; nothing if there is none.
local function live(key, now)
  local h = call('GETRANGE', key, 0, 34)
  if h == '' then return nil end
  if #h < 35 or string.byte(h) ~= 2 then error({ err = 'CORRUPT the record has an unknown format' }) end
  local seen = alive(h, now)
  if seen then return h, seen end
end
