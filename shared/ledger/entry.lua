-- keyless ledger entry, version 1: writes one call and adds it to its day's counters, once.
-- KEYS  mark of the request; the day's entries (stream); the day's counters (hash)
-- ARGV  seconds to remember the mark; the entry; how many entries a day keeps; expiry of the entries and of
--       the counters (Unix seconds); how many fields the counters have at most; <api>|<upstream>|<model>, and
--       what stands in its place when there are too many; then measure and amount in turn
-- Reply 1, or 0 where the request is written already
-- First the write that a server without memory refuses: then nothing is half done.
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then
  return 0
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[3], '*', 'entry', ARGV[2])
redis.call('EXPIREAT', KEYS[2], ARGV[4])
local what = ARGV[7]
if redis.call('HEXISTS', KEYS[3], 'calls|' .. what) == 0 and redis.call('HLEN', KEYS[3]) >= tonumber(ARGV[6]) then
  what = ARGV[8]
end
for i = 9, #ARGV, 2 do
  redis.call('HINCRBY', KEYS[3], ARGV[i] .. '|' .. what, ARGV[i + 1])
end
redis.call('EXPIREAT', KEYS[3], ARGV[5])
return 1
