-- What this server says of itself, a text for each section; empty where the user of the connection may not ask. No KEYS.
local said = {}
for i, section in ipairs({ 'server', 'memory', 'stats', 'persistence' }) do
  local info = redis.pcall('INFO', section)
  said[i] = type(info) == 'string' and info or ''
end
return said
