-- What describes the session in `key`: its record without the values. Empty where there is none.
local function beginning(key)
  -- Most are shorter than this.
  local record = redis.call('GETRANGE', key, '0', '1023')
  local values = 38
  if #record > 37 and string.byte(record) > 2 and string.byte(record) < 5 then values = struct.unpack('>I3', record, 36) end
  if values > #record then record = redis.call('GETRANGE', key, 0, values - 1) end
  return string.sub(record, 1, values)
end
