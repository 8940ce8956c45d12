-- Whether a key is that of a session. `prefix` is what all keys begin with, up to the shard.
local function is_session(key, prefix)
  return string.sub(key, 1, #prefix) == prefix and string.sub(key, #prefix + 5, #prefix + 8) == '}:s:'
end
