-- Reads the members of a room that came first. ARGV: 5 token, 6 how many at most, 7 the version
-- that the caller knows, 0: none.
-- ok: {version (0: empty), name or false, settled, how many there are, members}: members as session
-- and entry in turn, or false if the known version is the newest.
local PORTION = 1000 -- Lua passes so many arguments at once
local token, most = ARGV[5], tonumber(ARGV[6])
local version, members = version_of(token), false
if version == 0 or version ~= tonumber(ARGV[7]) then
  members = {}
  for start = 0, most - 1, PORTION do
    local stop = math.min(most, start + PORTION) - 1
    local sids = redis.call('ZRANGE', key('order', token), start, stop)
    if #sids == 0 then
      break
    end
    for i, entry in ipairs(redis.call('HMGET', key('room', token), unpack(sids))) do
      members[#members + 1] = sids[i]
      members[#members + 1] = entry
    end
  end
end
return answer('ok', {
  version,
  redis.call('HGET', key('names'), token),
  settling() == 0,
  redis.call('HLEN', key('room', token)),
  members,
})
