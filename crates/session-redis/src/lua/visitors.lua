-- Where there are visitors on the server that has KEYS[1]: looks at keys at random.
-- KEYS 1 only says which server   ARGV 1 prefix of all keys, 2 in how many shards visitors are, 3 how many keys to look at
-- the shards, as the four digits that follow the prefix in a key
local reply, seen, from = { 'shards' }, {}, #ARGV[1] + 1
for _ = 1, tonumber(ARGV[3]) do
  local key = redis.call('RANDOMKEY')
  if key and string.sub(key, 1, #ARGV[1]) == ARGV[1] then
    local shard = string.sub(key, from, from + 3)
    if not seen[shard] and tonumber(shard, 16) < tonumber(ARGV[2]) then
      seen[shard] = true
      reply[#reply + 1] = shard
    end
  end
end
return reply
