-- Before every script below. Offsets are those of session_core::layout, counted from 1.
local LAST = 2 ^ 47 - 1 -- the last time that there is a form for
local SLACK = 60000 -- milliseconds a key outlives its deadline: the clocks of two nodes may differ

-- The header of the record in `key`, if there is one.
local function header(key)
  local h = redis.call('GETRANGE', key, 0, 34)
  if h == '' then return nil end
  if #h < 35 or string.byte(h) ~= 2 then error({ err = 'CORRUPT the record has an unknown format' }) end
  return h
end

local function version_of(h) return string.sub(h, 2, 13) end
local function seen_of(h) return (struct.unpack('>i6', h, 20)) end
local function deadline_of(h)
  local created, seen, idle, absolute = struct.unpack('>i6i6I5I5', h, 14)
  return math.min(seen + idle, created + absolute)
end

-- The header of the live record in `key`, if there is one.
local function live(key, now)
  local h = header(key)
  return h and now < deadline_of(h) and h or nil
end

-- After every write of the record in `key`: its time to live, and its entry in the index by user. The entry is
-- created_at, last_seen, deadline. Without a user, `index` is `key`.
local function settle(key, index, id, now)
  local h = header(key)
  local deadline = deadline_of(h)
  local ttl = math.max(deadline - now, 0) + SLACK
  local text = string.format('%.0f', ttl)
  redis.call('PEXPIRE', key, text)
  if index ~= key then
    redis.call('HSET', index, id, string.sub(h, 14, 25) .. struct.pack('>i6', math.min(deadline, LAST)))
    if redis.call('PTTL', index) < ttl then redis.call('PEXPIRE', index, text) end
  end
end

-- Whether the members of `index` are exactly the ids from ARGV[first] on.
local function members_are(index, first)
  if redis.call('HLEN', index) ~= #ARGV - first + 1 then return false end
  for i = first, #ARGV do
    if redis.call('HEXISTS', index, ARGV[i]) == 0 then return false end
  end
  return true
end

-- The answer to a caller that does not know the members of `index`.
local function changed(index)
  local reply = redis.call('HKEYS', index)
  table.insert(reply, 1, 'changed')
  return reply
end
