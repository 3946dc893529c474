-- keyless quota failed, version 1: counts one failure by the generic cell rate algorithm (ITU-T I.371).
-- KEYS  when the next failure would conform, in Unix milliseconds
-- ARGV  milliseconds between two failures, how many may come at once
-- Reply milliseconds to wait, 0 where the failure is within the limit
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local every, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
-- A clock that was set back must not lock anybody out for longer than the limit says.
arrival = math.min(arrival, now + every * burst)
local wait = arrival + every - now - every * burst
if wait > 0 then
  return wait
end
redis.call('SET', KEYS[1], string.format('%.0f', arrival + every), 'PX', string.format('%.0f', arrival + every - now))
return 0
