-- The server makes these functions anew at each call: a script has only those before it that it uses. Offsets are those
-- of session_core::layout, counted from 1.
local call, sub, unpack = redis.call, string.sub, struct.unpack

-- last_seen of the record that begins with this header; nothing if the session has ended.
local function alive(h, now)
  local created, seen, idle, absolute = unpack('>i6i6I5I5', h, 14)
  if now < seen + idle and now < created + absolute then return seen end
end
