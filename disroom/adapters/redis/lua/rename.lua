-- Exchanges a session's nick, in all its rooms. ARGV: 5 session, 6 token, 7 nick.
-- Another writing of the same nick is a change as well. Idempotent; refused while settling.
local sid, token, nick = ARGV[5], ARGV[6], ARGV[7]
local refused = refusal(true)
if refused then
  return refused
end
if not holds(sid) then
  return answer('session')
end
local owner = redis.call('HGET', key('nicks'), token)
if owner and owner ~= sid then
  return answer('taken')
end
local before = redis.call('HMGET', key('session', sid), 'nick', 'token')
if before[1] == nick then
  return answer('ok')
end
redis.call('HDEL', key('nicks'), before[2])
redis.call('HSET', key('nicks'), token, sid)
redis.call('HSET', key('session', sid), 'nick', nick, 'token', token)
for _, room in ipairs(rooms_of(sid)) do
  local order, away, old = parsed(redis.call('HGET', key('room', room), sid))
  redis.call('HSET', key('room', room), sid, entry(order, away, nick))
  changed(room, next_version(room), {}, {}, { { sid, old, nick, away } }, '')
end
return answer('ok')
