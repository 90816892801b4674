-- Takes a session over from whoever holds it, or from nobody. ARGV: 5 session, 6 the key presented,
-- 7 the new one. Refused while settling.
-- ok: {nick, since (us), the time (us), away text or false, tenure, previous key, what the client was
-- given or '', {{room's name, order}...}}, in the order of joining. gone: there is none, its grace is
-- over, or the key is neither its own nor the one before. The former stays good until settle.lua:
-- who presents it has not got the answer that told of the current one.
local sid, presented = ARGV[5], ARGV[6]
local refused = refusal(true)
if refused then
  return refused
end
local session = redis.call('HMGET', key('session', sid),
  'key', 'previous', 'grace_until', 'holder', 'tenure', 'nick', 'since', 'away',
  'given')
local current, previous, ends = session[1], session[2], tonumber(session[3])
if not current or (presented ~= current and presented ~= previous) then
  return answer('gone')
end
if ends > 0 and ends <= now_ms then
  if session[4] == '' then -- else its instance is about to end it
    dismiss(sid)
    announce('connection lost')
  end
  return answer('gone')
end
local before = tonumber(session[5])
local tenure = before + 1
redis.call('HSET', key('session', sid), 'key', ARGV[7], 'previous', presented, 'grace_until', 0)
redis.call('HDEL', key('session', sid), 'given')
take(sid, session[4], before, tenure)
mark(sid, session[8] and true or false)
announce('')
local rooms = {}
for i, token in ipairs(rooms_of(sid)) do
  local order = parsed(redis.call('HGET', key('room', token), sid))
  rooms[i] = { redis.call('HGET', key('names'), token), order }
end
return answer('ok', {
  session[6], tonumber(session[7]), now, session[8], tenure, presented, session[9] or '', rooms,
})
