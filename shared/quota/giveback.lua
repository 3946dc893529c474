-- keyless quota give back, version 1: takes one request off the counters that it holds, once.
-- KEYS  reservation, the counters of the record
-- ARGV  record
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
for i = 2, #KEYS do
  if tonumber(redis.call('GET', KEYS[i]) or '0') > 0 then
    redis.call('DECR', KEYS[i])
  end
end
return 1
