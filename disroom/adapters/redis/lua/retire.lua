-- Gives up the caller's own lease, so that it is reaped. ARGV: 5 reason. Idempotent.
if redis.call('ZREM', key('leases'), own) == 1 then
  redis.call('HSET', key('reaping'), own, ARGV[5])
end
return answer('ok')
