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
local function with_seen(h, seen) return string.sub(h, 1, 19) .. seen .. string.sub(h, 26) end
local function deadline_of(h)
  local created, seen, idle, absolute = struct.unpack('>i6i6I5I5', h, 14)
  return math.min(seen + idle, created + absolute)
end

-- The header of the live record in `key`, if there is one.
local function live(key, now)
  local h = header(key)
  return h and now < deadline_of(h) and h or nil
end

-- How long a key lives on that is needed until `deadline`: as a number, and as commands take it.
local function life(deadline, now)
  local ttl = math.max(deadline - now, 0) + SLACK
  return ttl, string.format('%.0f', ttl)
end

-- With every write of a record, whose header is `h`: its entry in the index by user, which is created_at, last_seen,
-- deadline. Without a user, `index` is `key`.
local function enter(key, index, id, h, now)
  if index == key then return end
  local deadline = deadline_of(h)
  local ttl, text = life(deadline, now)
  redis.call('HSET', index, id, string.sub(h, 14, 25) .. struct.pack('>i6', math.min(deadline, LAST)))
  if redis.call('PTTL', index) < ttl then redis.call('PEXPIRE', index, text) end
end

-- Writes the record `value` to `key`.
local function put(key, index, id, value, now)
  local _, text = life(deadline_of(value), now)
  redis.call('SET', key, value, 'PX', text)
  enter(key, index, id, value, now)
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
