-- Whether an index is that of the visitors of its shard: `{namespace:shard}:v`.
local function is_of_visitors(index) return string.find(index, '}', 1, true) == #index - 2 end
