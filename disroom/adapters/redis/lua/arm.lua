-- Makes a session resumable by one key. ARGV: 5 session, 6 key.
local sid = ARGV[5]
local refused = refusal(false)
if refused then
  return refused
end
if not holds(sid) then
  return answer('session')
end
redis.call('HSET', key('session', sid), 'key', ARGV[6])
redis.call('HDEL', key('session', sid), 'previous')
return answer('ok')
