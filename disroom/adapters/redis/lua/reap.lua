-- Ends some of the sessions of an incarnation that is being reaped; those that can be resumed
-- become orphans. ARGV: 5 incarnation, 6 ms of grace. ok: how many are left. At most 1,000 sessions
-- and about 2,000 memberships at a time, some 10 ms: Redis does nothing else meanwhile. Any number
-- of callers may share the work: each session's leaving is announced once, each room hears once of
-- all who leave it in this step.
local target = ARGV[5]
local reason = redis.call('HGET', key('reaping'), target)
if not reason then
  return answer('ok', 0)
end
local sessions, memberships = 0, 0
while sessions < 1000 and memberships < 2000 do
  local sid = redis.call('SPOP', key('held', target))
  if not sid then
    break
  end
  sessions = sessions + 1
  memberships = memberships + redis.call('ZCARD', key('in', sid))
  abandon(sid, tonumber(ARGV[6]))
end
announce(reason)
local left = redis.call('SCARD', key('held', target))
if left == 0 then
  local name = redis.call('HGET', key('holders'), target)
  if name and redis.call('HGET', key('instances'), name) == target then
    redis.call('HDEL', key('instances'), name)
  end
  redis.call('HDEL', key('holders'), target)
  redis.call('HDEL', key('reaping'), target)
end
return answer('ok', left)
