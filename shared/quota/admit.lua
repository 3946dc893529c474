-- keyless quota admit, version 2: counts one request under all limits of one subject, or under none.
-- KEYS  reservation; the counters; the rates; the slots of calls at once; the consumer's entry
-- ARGV  how many counters, rates, slots (0 or 1) and entries (0 or 1) there are; request id, record of what it
--       will hold, seconds to keep that, tolerance in seconds, the consumer's version, name of the attempt;
--       for each counter: limit, what the request counts, start, end, expiry (Unix seconds), 1: only reports;
--       for each rate: microseconds between two calls, how many at once, 1: only reports;
--       for the slots: how many, seconds of this request's lease, seconds of the longest lease
-- Reply status (0 admitted, 1 full, 2 clock, 3 stale, 4 void), the record that the request holds or '',
--       the counts, the backlogs of the rates before the call in microseconds, the slots taken
local counters, rates = tonumber(ARGV[1]), tonumber(ARGV[2])
local slots, entries = tonumber(ARGV[3]), tonumber(ARGV[4])
local held = redis.call('GET', KEYS[1]) or ''
if held == 'void:' .. ARGV[10] then -- a copy of what was given up: it was long on its way
  return {4, ''}
elseif string.sub(held, 1, 5) == 'void:' then
  held = ''
end
if entries == 1 and redis.call('HGET', KEYS[#KEYS], 'version') ~= ARGV[9] then
  return {3, held}
end
if counters + rates + slots == 0 then
  return {0, ''}
end
local time = redis.call('TIME')
local now, tolerance = tonumber(time[1]), tonumber(ARGV[8])
local micros = now * 1000000 + tonumber(time[2])
local reply = {0, held}
local full, outside = false, false

for i = 1, counters do
  local at = 10 + 6 * (i - 1)
  local limit, ask = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local first, last, reports = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), ARGV[at + 6] == '1'
  local count = tonumber(redis.call('GET', KEYS[1 + i]) or '0')
  reply[2 + i] = count
  full = full or not reports and count + math.max(ask, 1) > limit
  outside = outside or now < first - tolerance or now >= last + tolerance
end

local arrivals = {}
for i = 1, rates do
  local at = 10 + 6 * counters + 3 * (i - 1)
  local every, burst = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local key = KEYS[1 + counters + i]
  local arrival = math.max(tonumber(redis.call('GET', key) or '0'), micros)
  -- A clock that was set back must not hold anybody for longer than the limit says.
  if arrival > micros + every * burst then
    arrival = micros + every * burst
    local live = math.ceil(every * burst / 1000)
    redis.call('SET', key, string.format('%.0f', arrival), 'PX', string.format('%.0f', live))
  end
  reply[2 + counters + i] = arrival - micros
  if arrival + every - micros <= every * burst then
    arrivals[i] = arrival + every
  elseif ARGV[at + 3] ~= '1' then
    full = true
  end
end

local lease = 10 + 6 * counters + 3 * rates
local slot = KEYS[2 + counters + rates]
if slots == 1 then
  local taken = redis.call('ZCOUNT', slot, '(' .. time[1], '+inf')
  reply[#reply + 1] = taken
  full = full or taken >= tonumber(ARGV[lease + 1])
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
redis.call('SET', KEYS[1], ARGV[6], 'EX', ARGV[7])
reply[2] = ARGV[6]
for i = 1, counters do
  local at = 10 + 6 * (i - 1)
  reply[2 + i] = redis.call('INCRBY', KEYS[1 + i], ARGV[at + 2])
  redis.call('EXPIREAT', KEYS[1 + i], ARGV[at + 5])
end
for i = 1, rates do
  if arrivals[i] then
    local live = math.ceil((arrivals[i] - micros) / 1000)
    redis.call('SET', KEYS[1 + counters + i], string.format('%.0f', arrivals[i]), 'PX', string.format('%.0f', live))
  end
end
if slots == 1 then
  redis.call('ZREMRANGEBYSCORE', slot, '-inf', time[1])
  redis.call('ZADD', slot, string.format('%.0f', now + tonumber(ARGV[lease + 2])), ARGV[5])
  redis.call('EXPIRE', slot, ARGV[lease + 3])
  reply[#reply] = reply[#reply] + 1
end
return reply
