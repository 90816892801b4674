-- Keeps a session whose connection is lost, and shows it as away. ARGV: 5 session, 6 ms of grace,
-- 7 what the client was given, as resume.lua returns it, or ''.
local sid = ARGV[5]
local refused = refusal(false)
if refused then
  return refused
end
if not holds(sid) then
  return answer('session')
end
redis.call('HSET', key('session', sid), 'grace_until', whole(now_ms + tonumber(ARGV[6])),
  'given', ARGV[7])
mark(sid, true)
announce('')
return answer('ok')
