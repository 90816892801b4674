-- Reads a room. ARGV: 5 token.
-- ok: {version (0: empty), the time (us), name or false, settled, members as in the room's hash,
-- flat}.
local token = ARGV[5]
return answer('ok', {
  version_of(token),
  now,
  redis.call('HGET', key('names'), token),
  settling() == 0,
  redis.call('HGETALL', key('room', token)),
})
