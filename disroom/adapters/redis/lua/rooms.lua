-- Reads the fullest rooms. ARGV: 5 how many at most.
-- ok: {how many there are, {{name, members}...}}, fullest first, then by token.
local most, rooms = tonumber(ARGV[5]), {}
local counts = most > 0 and redis.call('ZRANGE', key('counts'), 0, most - 1, 'WITHSCORES') or {}
for i = 1, #counts, 2 do
  local name = redis.call('HGET', key('names'), counts[i])
  rooms[#rooms + 1] = { name, -counts[i + 1] }
end
return answer('ok', { redis.call('ZCARD', key('counts')), rooms })
