-- Counts the live sessions of one server: all of them if there are few keys, else by a sample. No KEYS, as in page.lua.
-- ARGV 1 now; 2 pattern of keys for SCAN; 3 the same for Lua; 4 how many keys are few; 5 size of the sample
-- how many, and whether that is exact
local now, sessions = tonumber(ARGV[1]), 0
local function is_live(key)
  local is_here, h = pcall(call, 'GETRANGE', key, 0, 37)
  return is_here and alive(h, now)
end
local keys = call('DBSIZE')
if keys <= tonumber(ARGV[4]) then
  -- Nothing else happens meanwhile, but a key may be found twice.
  local cursor, seen = '0', {}
  repeat
    local found = call('SCAN', cursor, 'MATCH', ARGV[2], 'COUNT', 1000)
    cursor = found[1]
    for _, key in ipairs(found[2]) do
      if not seen[key] and is_live(key) then sessions = sessions + 1 end
      seen[key] = true
    end
  until cursor == '0'
  return { sessions, 1 }
end
local sample = tonumber(ARGV[5])
for _ = 1, sample do
  local key = call('RANDOMKEY')
  if key and string.find(key, ARGV[3]) and is_live(key) then sessions = sessions + 1 end
end
return { math.floor(keys * sessions / sample + 0.5), 0 }
