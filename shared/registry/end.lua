-- The last part of a change with an object, unless another has written it. KEYS: Snapshot, names. ARGV: version, revision, name to remove
-- ('' none), fields to remove.
local pending = redis.call('HGET', KEYS[1], 'pending')
if not pending or string.match(pending, '^%S*') ~= ARGV[1] then return 0 end
for i = 4, #ARGV do redis.call('HDEL', KEYS[1], ARGV[i]) end
if ARGV[3] ~= '' then redis.call('SREM', KEYS[2], ARGV[3]) end
redis.call('HDEL', KEYS[1], 'pending')
redis.call('HSET', KEYS[1], 'revision', ARGV[2])
return 1
