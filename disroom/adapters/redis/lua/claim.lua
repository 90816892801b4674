-- Takes a nick for a new session. ARGV: 5 session, 6 token, 7 nick, 8 key, or '' if it is not to be
-- resumable.
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
  redis.call('HSET', key('session', sid), 'nick', nick, 'token', token, 'since', whole(now),
    'grace_until', 0)
  if ARGV[8] ~= '' then
    redis.call('HSET', key('session', sid), 'key', ARGV[8])
  end
  take(sid, nil, 0, 0)
end
return answer('ok', now)
