-- Finds who holds a nick. ARGV: 5 token.
-- ok: false, or {nick, session, incarnation, its instance's name (both empty for an orphan), since
-- (us), the time (us), away text or false, {room's name...}}.
local sid = redis.call('HGET', key('nicks'), ARGV[5])
if not sid then
  return answer('ok', false)
end
local session = redis.call('HMGET', key('session', sid), 'nick', 'holder', 'since', 'away')
local rooms = {}
for i, token in ipairs(rooms_of(sid)) do
  rooms[i] = redis.call('HGET', key('names'), token)
end
local instance = redis.call('HGET', key('holders'), session[2]) or ''
return answer('ok', {
  session[1], sid, session[2], instance, tonumber(session[3]), now, session[4], rooms,
})
