-- Enters a room. ARGV: 5 session, 6 token, 7 name, 8 the version that the caller knows, 0: none.
-- ok: {version, the time (us), name, order, members}: members as in the room's hash, flat, or false
-- if what is known becomes what is the case by the changes since, which are announced; unless those
-- are very many, as after a failover. Idempotent: who is in already changes nothing. Refused while
-- settling.
local MOST_SINCE = 10000
local sid, token, known = ARGV[5], ARGV[6], tonumber(ARGV[8])
local refused = refusal(true)
if refused then
  return refused
end
local session = redis.call('HMGET', key('session', sid), 'holder', 'nick', 'away', 'grace_until')
if session[1] ~= own then
  return answer('session')
end
local before = version_of(token)
local version, order = before, nil
local present = redis.call('HGET', key('room', token), sid)
if present then
  order = parsed(present)
else
  local nick, away = session[2], session[3] and true or tonumber(session[4]) > 0
  version = next_version(token)
  order = version
  admit(token, ARGV[7], sid, order, away, nick)
  changed(token, version, { { sid, nick, away } }, {}, {}, '')
end
local members = false
if known == 0 or known > before or before - known > MOST_SINCE then
  members = redis.call('HGETALL', key('room', token))
end
return answer('ok', { version, now, redis.call('HGET', key('names'), token), order, members })
