-- Counts the live sessions of one server: all of them if there are few keys, else by a sample. No KEYS, as in page.lua.
-- ARGV 1 now; 2 prefix of all keys; 3 how many keys are few; 4 size of the sample
-- how many, and whether that is exact
local now, sessions = tonumber(ARGV[1]), 0
local function is_live(key)
  if not is_session(key, ARGV[2]) then return false end
  local is_here, h = pcall(call, 'GETRANGE', key, '0', '37')
  return is_here and alive(h, now)
end
local keys = call('DBSIZE')
if keys <= tonumber(ARGV[3]) then
  -- Nothing else happens meanwhile, but a key may be found twice.
  local cursor, seen = '0', {}
  repeat
    local found = call('SCAN', cursor, 'COUNT', 1000)
    cursor = found[1]
    for _, key in ipairs(found[2]) do
      if not seen[key] and is_live(key) then sessions = sessions + 1 end
      seen[key] = true
    end
  until cursor == '0'
  return { sessions, 1 }
end
local sample = tonumber(ARGV[4])
for _ = 1, sample do
  local key = call('RANDOMKEY')
  if key and is_live(key) then sessions = sessions + 1 end
end
return { math.floor(keys * sessions / sample + 0.5), 0 }
