-- Writes or removes an object, unless a later change has. KEYS: entry. ARGV: version, seconds that a removal is remembered ('' none), entry.
local now = redis.call('HGET', KEYS[1], 'version')
if now and now >= ARGV[1] then return 0 end
if ARGV[2] == '' then
  redis.call('HSET', KEYS[1], 'version', ARGV[1], 'entry', ARGV[3])
  redis.call('PERSIST', KEYS[1])
else
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'version', ARGV[1])
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 1
