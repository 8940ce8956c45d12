-- Redis runs the whole text of a script at each call, definitions included. So each script is put together from only
-- those snippets that it uses. What a command is given is text: to write a number costs half as much as the command. Offsets
-- are those of session_core::store::layout, counted from 1.
local call, sub, unpack = redis.call, string.sub, struct.unpack

-- The id of the session in `key`. As an argument it would cost a quarter of a command, as each key and argument does.
local function id_in(key) return sub(key, -22) end

-- The one rule of when a session is alive. Returns last_seen (false if the session has expired) and the deadline of the
-- record that begins with this header; nothing if the format is unknown.
local function alive(h, now)
  if #h < 38 or string.byte(h) < 3 or string.byte(h) > 4 then return end
  local created, seen, idle, absolute = unpack('>i6i6I5I5', h, 14)
  local deadline = seen + idle
  if created + absolute < deadline then deadline = created + absolute end
  return now < deadline and seen, deadline
end

-- Whether a key holds a record: neither nothing nor a tombstone.
local function is_record(stored) return stored ~= '' and stored ~= '\0' end

local function corrupt() error({ err = 'CORRUPT the record has an unknown format' }) end
