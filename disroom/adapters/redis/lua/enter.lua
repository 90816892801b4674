-- Registers an incarnation, on each connection. ARGV: 5 name of the instance, 6 lease ms, 7 settle
-- ms, 8 the ms without any tick after which leases are not trusted, 9 '1' if the incarnation never
-- held a lease, 10 '1' if it supersedes one that has the name, 11 '1' if no other instance can have
-- sessions, 12 the greatest version that the caller has seen.
-- ok: {ms still to settle, whether it has the name}; lease: it was reaped, take a new id; cluster:
-- this is a Redis Cluster, where one script cannot reach all keys.
local info = redis.call('INFO', 'server')
if string.find(info, '_mode:cluster', 1, true) then -- Redis: redis_mode, Valkey: server_mode
  return answer('cluster')
end

local name, lease, settle, jump = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local fresh, supersedes, alone = ARGV[9] == '1', ARGV[10] == '1', ARGV[11] == '1'

local leases, named = key('leases'), redis.call('HGET', key('instances'), name)
local rival = named and named ~= own and redis.call('ZSCORE', leases, named)
if rival and supersedes then
  redis.call('ZREM', leases, named)
  redis.call('HSET', key('reaping'), named, 'server lost')
  rival = false
end

-- A store that is another one than before, or in which nobody ticked, may lack what others hold.
local run = string.match(info, 'run_id:(%w+)')
local before = redis.call('HMGET', key('epoch'), 'run', 'seen')
local unwatched = before[2] and now_ms - before[2] > jump and redis.call('ZCARD', leases) > 0
local another = before[1] ~= run
if another or unwatched then
  local settled = alone and now_ms or now_ms + settle
  redis.call('HSET', key('epoch'), 'run', run, 'settled', whole(settled))
end
if now_ms > tonumber(before[2] or 0) then -- were it put back here, no tick would notice
  redis.call('HSET', key('epoch'), 'seen', whole(now_ms))
end
local mark = tonumber(redis.call('GET', key('mark')) or 0)
local ahead = tonumber(ARGV[12]) > mark
if ahead then
  mark = tonumber(ARGV[12])
  redis.call('SET', key('mark'), ARGV[12])
end
-- A replica that took over may be behind what its master had announced; instances take a version
-- for one that they know unless it is past all that there were.
if another or (ahead and settling() > 0) then
  for _, token in ipairs(redis.call('HKEYS', key('versions'))) do
    local next = math.max(version_of(token), now, mark) + 1
    redis.call('HSET', key('versions'), token, whole(next))
  end
end

if not fresh and not redis.call('ZSCORE', leases, own) then
  return answer('lease')
end
redis.call('ZADD', leases, whole(now_ms + lease), own)
redis.call('HSET', key('holders'), own, name)
if not rival then
  redis.call('HSET', key('instances'), name, own)
end
return answer('ok', { settling(), not rival })
