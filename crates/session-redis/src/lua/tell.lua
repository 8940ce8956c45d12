-- Tells those who follow the changes, if there is a channel for them. Of each session: 'c' if it was created or changed, 'e' if it
-- has ended; its id; and after 'c' its version. Before anything is written: if the user of the connection has lost the right
-- to it, nothing is. Nobody can read between the two.
local function tell(channel, message)
  if channel and channel ~= '' and message ~= '' then redis.call('PUBLISH', channel, message) end
end
