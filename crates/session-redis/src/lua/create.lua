-- KEYS 1 the new session, 2 its index: its user's, or that of the visitors; 3 the session it replaces, 4 that one's
--      index; 5.. the sessions in the caller's snapshot of the index. KEYS[1] stands for each of 2 to 4 that does not apply.
-- ARGV 1 value; 2 now, the limit (0: none) and how many sessions to evict, as unpacked below, then the channel for changes, if
--      any; 3 ttl, 4 entry, 5 version of the replaced session; 6.. id and entry of each session in the snapshot, those to evict first, in the order of KEYS
-- One of: created, evicted (created, and those to evict are gone), id taken, replaced absent, replaced changed,
--         full followed by id and entry of each live session
local now, limit, evictions = unpack('>i6I4I4', ARGV[2])
local id, replaced = id_in(KEYS[1]), id_in(KEYS[3])
local is_indexed, replaces = KEYS[2] ~= KEYS[1], KEYS[3] ~= KEYS[1]

-- The reply if the id has a live session, this one, if the call is a repetition, or another; or had one that was ended.
-- It takes precedence over all other replies, but is looked for only when there is a reason to.
local function taken()
  local stored, buried = load_live(KEYS[1], now)
  if stored and sub(stored, 2, 13) == sub(ARGV[1], 2, 13) then
    -- By the call that this one repeats, if all of them are gone.
    local evicted = evictions > 0
    for i = 1, evictions do evicted = evicted and not is_record(call('GETRANGE', KEYS[4 + i], '0', '1')) end
    return evicted and 'evicted' or 'created'
  end
  return (stored or buried) and 'id taken'
end

if replaces then
  local stored = load_live(KEYS[3], now)
  if not stored then return taken() or 'replaced absent' end
  if sub(stored, 2, 13) ~= ARGV[5] then return taken() or 'replaced changed' end
end

local ended, is_crowded_out = '', false
-- Below the limit there is nothing to look at. Without one, entries of expired sessions are looked for.
if is_indexed and (limit == 0 or call('HLEN', KEYS[2]) >= limit) then
  -- Evictions were selected from the snapshot: they hold only while it is what the index says.
  local snapshot, gone = {}, 0
  for i = 6, #ARGV, 2 do
    if is_record(call('GETRANGE', KEYS[i / 2 + 2], '0', '1')) then
      snapshot[ARGV[i]] = ARGV[i + 1]
    else -- evicted by Redis, or deleted by hand
      gone = gone + call('HDEL', KEYS[2], ARGV[i])
    end
  end
  local full, same = { 'full' }, gone == 0
  local entries = call('HGETALL', KEYS[2])
  for i = 1, #entries, 2 do
    -- An entry of another form is left alone, and counts for the version that knows it.
    if entries[i] ~= replaced and entries[i] ~= id and is_known(entries[i + 1]) then
      local deadline = unpack('>i6', entries[i + 1], 14)
      if now >= deadline + SLACK then
        call('HDEL', KEYS[2], entries[i])
      elseif now < deadline then
        full[#full + 1], full[#full + 2] = entries[i], entries[i + 1]
        same = same and snapshot[entries[i]] == entries[i + 1]
      end
    end
  end
  if limit > 0 and (#full - 1) / 2 >= limit then
    local reply = taken()
    if reply then return reply end
    if not same or #full ~= #ARGV - 4 or evictions == 0 then return full end
    is_crowded_out = is_of_visitors(KEYS[2])
    for i = 1, evictions do ended = ended .. 'e' .. ARGV[4 + 2 * i] end
  end
end
local evicts = ended ~= ''
if replaces then ended = ended .. 'e' .. replaced end
tell(sub(ARGV[2], 15), ended .. 'c' .. id .. sub(ARGV[1], 2, 13))

if evicts then
  for i = 1, evictions do
    bury(KEYS[4 + i], is_crowded_out)
    call('HDEL', KEYS[2], ARGV[4 + 2 * i])
  end
end
if call('SET', KEYS[1], ARGV[1], 'NX', 'GET', 'PX', ARGV[3]) then
  local reply = taken()
  if reply then return reply end
  call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3]) -- what was there has expired
end
-- Before what it replaces leaves: an index that is empty is gone, and with it its time to live.
if is_indexed then enter(KEYS[2], id, ARGV[4], ARGV[3], true) end
if replaces then
  bury(KEYS[3])
  if KEYS[4] ~= KEYS[1] then call('HDEL', KEYS[4], replaced) end
end
return evicts and 'evicted' or 'created'
