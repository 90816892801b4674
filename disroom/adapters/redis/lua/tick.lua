-- Renews a lease and finds those that have lapsed. ARGV: 5 lease ms, 6 settle ms, 7 the ms without
-- any tick after which leases are not trusted, 8 ms of grace.
-- ok: {ms still to settle, {incarnation to be reaped...}, how many orphans are to be ended, how
-- many sessions the caller holds}; lease: it has none any more.
local lease, settle, jump = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local leases, epoch = key('leases'), key('epoch')
local seen = tonumber(redis.call('HGET', epoch, 'seen'))
if not seen or not redis.call('ZSCORE', leases, own) then
  return answer('lease')
end

local renewed = whole(now_ms + lease)
if now_ms - seen > jump then
  -- The clock went ahead or everybody was cut off: let all who live renew before anyone is reaped.
  redis.call('HSET', epoch, 'settled', whole(now_ms + settle))
elseif seen - now_ms > 1000 then
  -- The clock went back: what was written in its old time would last too long.
  for _, incarnation in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
    redis.call('ZADD', leases, renewed, incarnation)
  end
  local latest = whole(now_ms + tonumber(ARGV[8]))
  for _, sid in ipairs(redis.call('ZRANGEBYSCORE', key('orphans'), '(' .. latest, '+inf')) do
    redis.call('ZADD', key('orphans'), latest, sid)
    redis.call('HSET', key('session', sid), 'grace_until', latest)
  end
  if settling() > settle then
    redis.call('HSET', epoch, 'settled', whole(now_ms + settle))
  end
end
redis.call('HSET', epoch, 'seen', whole(now_ms))
redis.call('ZADD', leases, renewed, own)

local over = 0
if settling() == 0 then
  for _, lapsed in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', whole(now_ms))) do
    redis.call('ZREM', leases, lapsed)
    redis.call('HSET', key('reaping'), lapsed, 'server lost')
  end
  over = redis.call('ZCOUNT', key('orphans'), '-inf', whole(now_ms))
end
local held = redis.call('SCARD', key('held', own))
return answer('ok', { settling(), redis.call('HKEYS', key('reaping')), over, held })
