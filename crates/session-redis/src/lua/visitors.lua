-- Where there are visitors on the server that has KEYS[1]: looks at keys at random.
-- KEYS 1 only says which server   ARGV 1 prefix of all keys, 2 how many keys to look at
-- the shards, as the four digits that follow the prefix in a key
local reply, seen, from = { 'shards' }, {}, #ARGV[1] + 1
for _ = 1, tonumber(ARGV[2]) do
  local key = redis.call('RANDOMKEY')
  if key and string.sub(key, 1, #ARGV[1]) == ARGV[1] and string.sub(key, from + 4, from + 5) == '}:' then
    local shard = string.sub(key, from, from + 3)
    -- It lies in the slot of the key that was found, which may be on its way to another server: then it is an error.
    if not seen[shard] then
      local is_here, visitors = pcall(redis.call, 'HLEN', ARGV[1] .. shard .. '}:v')
      if is_here and visitors > 0 then reply[#reply + 1] = shard end
    end
    seen[shard] = true
  end
end
return reply
