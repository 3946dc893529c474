-- keyless quota settle, version 1: corrects what one request holds of one subject, once.
-- KEYS  reservation; the counters of the record; the slots of calls at once, where the record holds one
-- ARGV  the record; what is remembered of the request then ('' nothing, settled, void:<attempt>: that attempt
--       counts nothing when it comes); for how many seconds; request id; for each counter the difference
-- Reply 1, or 0 where the request does not hold the record (any more)
local held = redis.call('GET', KEYS[1]) or ''
if held ~= ARGV[1] then
  if string.sub(ARGV[2], 1, 5) == 'void:' and (held == '' or string.sub(held, 1, 5) == 'void:') then
    redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
  end
  return 0
end
-- First a write that a server without memory does not refuse: after it none is.
redis.call('DEL', KEYS[1])
local counters = #ARGV - 4
for i = 1, counters do
  local count = tonumber(redis.call('GET', KEYS[1 + i]) or '-1')
  if count >= 0 then -- a counter that is gone counted a window that nobody asks for any more
    -- Never below zero, never above what a Lua number holds exactly.
    local by = math.min(math.max(tonumber(ARGV[4 + i]), -count), 9007199254740992 - count)
    if by ~= 0 then
      redis.call('INCRBY', KEYS[1 + i], string.format('%.0f', by))
    end
  end
end
if #KEYS > 1 + counters then
  redis.call('ZREM', KEYS[#KEYS], ARGV[4])
end
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
end
return 1
