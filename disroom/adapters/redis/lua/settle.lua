-- Forgets the key of a session before the current one. ARGV: 5 session. Idempotent.
local refused = refusal(false)
if refused then
  return refused
end
if not holds(ARGV[5]) then
  return answer('session')
end
redis.call('HDEL', key('session', ARGV[5]), 'previous')
return answer('ok')
