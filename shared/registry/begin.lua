-- The first part of a change. KEYS: Snapshot, audit trail, names. ARGV: id, expected revision ('' any, '-' none), revision to set ('' none),
-- audit head that the entry follows, audit head with it, entry ('' none), rest of the object's version, pending ('' none),
-- name to add ('' none), number of fields, fields with their texts, fields to remove.
-- Answers ok, moved, pending or head, and the version, revision, pending change or audit head.
local snapshot = KEYS[1]
local turn = redis.call('HGET', snapshot, 'turn') or '0 '
local number, last = string.match(turn, '^(%d+) (.*)$')
local pending = redis.call('HGET', snapshot, 'pending')
if last == ARGV[1] then return {'ok', string.match(pending or '', '^%S*')} end -- the answer was lost, and it was sent again
if pending then return {'pending', pending} end
local revision = redis.call('HGET', snapshot, 'revision')
if ARGV[2] ~= '' and (revision or '-') ~= ARGV[2] then return {'moved', revision or ''} end
if ARGV[6] ~= '' then
  local head = redis.call('HGET', snapshot, 'audit') or ''
  if head ~= ARGV[4] then return {'head', head} end
end
number = tonumber(number) + 1
redis.call('HSET', snapshot, 'turn', string.format('%d', number) .. ' ' .. ARGV[1])
if ARGV[6] ~= '' then
  redis.call('RPUSH', KEYS[2], ARGV[6])
  redis.call('HSET', snapshot, 'audit', ARGV[5])
end
local rest = 11 + 2 * tonumber(ARGV[10])
for i = 11, rest - 1, 2 do redis.call('HSET', snapshot, ARGV[i], ARGV[i + 1]) end
for i = rest, #ARGV do redis.call('HDEL', snapshot, ARGV[i]) end
local version = 'v' .. string.format('%010d', number) .. ARGV[7]
if ARGV[8] ~= '' then redis.call('HSET', snapshot, 'pending', version .. ' ' .. ARGV[8]) end
if ARGV[9] ~= '' then redis.call('SADD', KEYS[3], ARGV[9]) end
if ARGV[3] ~= '' then redis.call('HSET', snapshot, 'revision', ARGV[3]) end
return {'ok', version}
