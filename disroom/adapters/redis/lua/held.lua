-- Lists the sessions that the store has of the caller.
-- ok: {session...}.
return answer('ok', redis.call('SMEMBERS', key('held', own)))
