-- The server makes these functions anew at each call: a script has only those before it that it uses. Offsets are those
-- of session_core::layout, counted from 1.
local call, sub, unpack = redis.call, string.sub, struct.unpack

-- The header of the live record in `key`, and its last_seen; nothing if there is none.
local function live(key, now)
  local h = call('GETRANGE', key, 0, 34)
  if h == '' then return nil end
  if #h < 35 or string.byte(h) ~= 2 then error({ err = 'CORRUPT the record has an unknown format' }) end
  local created, seen, idle, absolute = unpack('>i6i6I5I5', h, 14)
  if now < seen + idle and now < created + absolute then return h, seen end
end
