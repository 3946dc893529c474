-- keyless quota failed, version 2: counts one failure by the generic cell rate algorithm (ITU-T I.371).
-- KEYS  when the next failure would conform, in Unix milliseconds
-- ARGV  milliseconds between two failures, how many may come at once
-- Reply milliseconds to wait, 0 where the failure is within the limit
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local every, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
-- A clock that was set back must not lock anybody out for longer than the limit says.
if arrival > now + every * burst then
  arrival = now + every * burst
  redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', string.format('%.0f', every * burst))
end
local wait = arrival + every - now - every * burst
if wait > 0 then
  return wait
end
local live = string.format('%.0f', arrival + every - now)
redis.call('SET', KEYS[1], string.format('%.0f', arrival + every), 'PX', live)
return 0
