-- Finds who holds nicks. ARGV: 5 their tokens, MessagePack, at most 1,000.
-- ok: {session, or false if nobody does...} in the order asked.
local tokens = cmsgpack.unpack(ARGV[5])
return answer('ok', #tokens > 0 and redis.call('HMGET', key('nicks'), unpack(tokens)) or {})
