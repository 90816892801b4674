-- Sets a session's away text, or takes it back. ARGV: 5 session, 6 '1' if away, 7 text.
-- The mark in the rooms' lists follows, without a new version: nobody came, left or was renamed.
local sid, away, text = ARGV[5], ARGV[6] == '1', ARGV[7]
local refused = refusal(false)
if refused then
  return refused
end
if not holds(sid) then
  return answer('session')
end
if away then
  redis.call('HSET', key('session', sid), 'away', text)
else
  redis.call('HDEL', key('session', sid), 'away')
end
for _, room in ipairs(redis.call('SMEMBERS', key('in', sid))) do
  local order, _, nick = parsed(redis.call('HGET', key('room', room), sid))
  redis.call('HSET', key('room', room), sid, entry(order, away, nick))
end
return answer('ok')
