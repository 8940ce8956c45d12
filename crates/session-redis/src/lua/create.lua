-- KEYS 1 the new session, 2 its user's index, 3 the session it replaces, 4 that one's index; 5.. the sessions the caller
--      saw in the index. KEYS[1] stands for each of 2 to 4 that does not apply.
-- ARGV 1 value, 2 now, 3 id, 4 id and 5 version of the replaced session, 6 limit (0: none), 7 number of victims;
--      8.. id and entry of each session the caller saw, the victims first, in the order of KEYS
-- One of: created, evicted (created, and the victims are gone), occupied, replaced absent, replaced changed,
--         full followed by id and entry of each live session
local now, id, replaced = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local has_user, replaces, limit = KEYS[2] ~= KEYS[1], KEYS[3] ~= KEYS[1], tonumber(ARGV[6])

local stored = live(KEYS[1], now)
if stored then return { version_of(stored) == version_of(ARGV[1]) and 'created' or 'occupied' } end
if replaces then
  stored = live(KEYS[3], now)
  if not stored then return { 'replaced absent' } end
  if version_of(stored) ~= ARGV[5] then return { 'replaced changed' } end
end

local outcome = 'created'
if has_user then
  -- Only what the caller saw may be judged: somebody may have come, gone, or been active since.
  local seen, gone = {}, 0
  for i = 8, #ARGV, 2 do
    if redis.call('EXISTS', KEYS[(i + 2) / 2]) == 1 then
      seen[ARGV[i]] = ARGV[i + 1]
    else -- Redis evicted it, or somebody deleted it by hand
      gone = gone + redis.call('HDEL', KEYS[2], ARGV[i])
    end
  end
  local full, same = { 'full' }, gone == 0
  local entries = redis.call('HGETALL', KEYS[2])
  for i = 1, #entries, 2 do
    local deadline = struct.unpack('>i6', entries[i + 1], 13)
    if now >= deadline + SLACK then
      redis.call('HDEL', KEYS[2], entries[i])
    elseif now < deadline and entries[i] ~= replaced and entries[i] ~= id then
      full[#full + 1], full[#full + 2] = entries[i], entries[i + 1]
      same = same and seen[entries[i]] == entries[i + 1]
    end
  end
  if limit > 0 and (#full - 1) / 2 >= limit then
    local victims = tonumber(ARGV[7])
    if not same or #full ~= #ARGV - 6 or victims == 0 then return full end
    outcome = 'evicted'
    for i = 1, victims do
      redis.call('UNLINK', KEYS[4 + i])
      redis.call('HDEL', KEYS[2], ARGV[6 + 2 * i])
    end
  end
end

if replaces then
  redis.call('UNLINK', KEYS[3])
  if KEYS[4] ~= KEYS[1] then redis.call('HDEL', KEYS[4], replaced) end
end
put(KEYS[1], KEYS[2], id, ARGV[1], now)
return { outcome }
