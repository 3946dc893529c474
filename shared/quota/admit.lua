-- keyless quota admit, version 1: counts one request under all limits of one subject, or under none.
-- KEYS  reservation, one counter for each limit, the consumer's entry where its version is to be compared
-- ARGV  version, record of the counters, seconds to keep the reservation, tolerance in seconds,
--       then for each limit: limit, start and end of the window, expiry of the counter (Unix seconds)
-- Reply status (0 admitted, 1 full, 2 clock, 3 stale), the record that the request holds or '', the counts
local limits = (#ARGV - 4) / 4
local held = limits > 0 and redis.call('GET', KEYS[1]) or ''
if #KEYS > limits + 1 and redis.call('HGET', KEYS[limits + 2], 'version') ~= ARGV[1] then
  return {3, held}
end
if limits == 0 then
  return {0, ''}
end
local reply = {0, held}
local full, outside = false, false
local now, tolerance = tonumber(redis.call('TIME')[1]), tonumber(ARGV[4])
for i = 1, limits do
  local arg = 4 * i
  local count = tonumber(redis.call('GET', KEYS[1 + i]) or '0')
  reply[2 + i] = count
  full = full or count >= tonumber(ARGV[arg + 1])
  outside = outside or now < tonumber(ARGV[arg + 2]) - tolerance or now >= tonumber(ARGV[arg + 3]) + tolerance
end
if held ~= '' then
  return reply
end
if outside then
  return {2, ''}
end
if full then
  reply[1] = 1
  return reply
end
-- First the write that a server without memory refuses: then nothing is half done.
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
reply[2] = ARGV[2]
for i = 1, limits do
  reply[2 + i] = redis.call('INCR', KEYS[1 + i])
  redis.call('EXPIREAT', KEYS[1 + i], ARGV[4 * i + 4])
end
return reply
