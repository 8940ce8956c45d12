-- The header of the live record in `key`, and its last_seen. Without one: nil, and whether there is a tombstone.
local function load_live(key, now)
  local h = call('GETRANGE', key, '0', '37')
  if not is_record(h) then return nil, h ~= '' end
  local seen, deadline = alive(h, now)
  if not deadline then corrupt() end
  if seen then return h, seen end
end
