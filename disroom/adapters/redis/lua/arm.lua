-- Makes a session resumable by a key; the one that it had stays good until settle.lua. ARGV: 5
-- session, 6 key.
local sid = ARGV[5]
local refused = refusal(false)
if refused then
  return refused
end
if not holds(sid) then
  return answer('session')
end
local current = redis.call('HGET', key('session', sid), 'key')
redis.call('HSET', key('session', sid), 'key', ARGV[6])
if current then
  redis.call('HSET', key('session', sid), 'previous', current)
end
return answer('ok')
