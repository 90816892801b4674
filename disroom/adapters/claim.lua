-- Takes a nick for a new session. ARGV: 5 session, 6 token, 7 nick.
-- ok: the time, us. Idempotent; refused while settling.
local sid, token, nick = ARGV[5], ARGV[6], ARGV[7]
local refused = refusal(true)
if refused then
  return refused
end
local owner = redis.call('HGET', key('nicks'), token)
if owner and owner ~= sid then
  return answer('taken')
end
if not owner then
  redis.call('HSET', key('nicks'), token, sid)
  redis.call('HSET', key('session', sid), 'nick', nick, 'token', token, 'holder', own,
    'since', whole(now), 'grace_until', 0)
  redis.call('SADD', key('held', own), sid)
end
return answer('ok', now)
