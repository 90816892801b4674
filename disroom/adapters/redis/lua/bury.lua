-- Ends orphans whose grace is over, at most 1,000 and about 2,000 memberships at a time; see
-- reap.lua.
-- ok: how many are left to be ended. Does nothing while settling.
if settling() > 0 then
  return answer('ok', 0)
end
local memberships = 0
local over = redis.call('ZRANGEBYSCORE', key('orphans'), '-inf', whole(now_ms), 'LIMIT', 0, 1000)
for _, sid in ipairs(over) do
  memberships = memberships + redis.call('ZCARD', key('in', sid))
  dismiss(sid)
  if memberships >= 2000 then
    break
  end
end
announce('connection lost')
return answer('ok', redis.call('ZCOUNT', key('orphans'), '-inf', whole(now_ms)))
