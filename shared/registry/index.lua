-- Writes or removes an object's copy in an index, unless a later change has, and forgets removals of long ago. KEYS: index.
-- ARGV: name, version, seconds that a removal is remembered, entry (absent: removed).
local head = string.match(redis.call('HGET', KEYS[1], ARGV[1]) or '', '^[^ \n]*')
if head >= ARGV[2] then return 0 end
if ARGV[4] then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '\n' .. ARGV[4])
  redis.call('PERSIST', KEYS[1])
  return 1
end
local now = tonumber(redis.call('TIME')[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. string.format('%d', now))
local live, all = false, redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local since = string.match(all[i + 1], '^[^ \n]* (%d+)$')
  if not since then
    live = true
  elseif tonumber(since) + tonumber(ARGV[3]) < now then
    redis.call('HDEL', KEYS[1], all[i])
  end
end
if not live then redis.call('EXPIRE', KEYS[1], ARGV[3]) end
return 1
