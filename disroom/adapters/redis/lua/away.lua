-- Sets a session's away text, or takes it back. ARGV: 5 session, 6 '1' if away, 7 text.
-- Where the mark in the rooms' lists changes by it, that is announced as a renaming to the same
-- nick.
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
mark(sid, away or is_suspended(sid))
announce('')
return answer('ok')
