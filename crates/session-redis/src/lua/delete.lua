-- KEYS 1 session; with a user: 2 the index   ARGV 1 the owner as in the record, 2 id
-- One of: deleted, absent
if redis.call('GETRANGE', KEYS[1], 35, 34 + #ARGV[1]) ~= ARGV[1] then return 'absent' end
redis.call('UNLINK', KEYS[1])
if KEYS[2] then redis.call('HDEL', KEYS[2], ARGV[2]) end
return 'deleted'
