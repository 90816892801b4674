-- Sets a session's away text, or takes it back. ARGV: 5 session, 6 '1' if away, 7 text.
-- Where the mark in the rooms' lists changes by it, that is announced as a renaming to the same nick.
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
  local order, before, nick = parsed(redis.call('HGET', key('room', room), sid))
  if before ~= away then
    redis.call('HSET', key('room', room), sid, entry(order, away, nick))
    changed(room, next_version(room), {}, {}, { { sid, nick, nick, away } }, '')
  end
end
return answer('ok')
