-- Strikes a room off the empty ones. ARGV: 5 token, 6 seq.
-- ok: whether it was there with that seq, and the store settled; true for one caller only.
local refused = refusal(false)
if refused then
  return refused
end
local noted = redis.call('HGET', key('empty'), ARGV[5])
local agreed = noted and settling() == 0 and string.match(noted, ' (%S+)$') == ARGV[6]
if agreed then
  redis.call('HDEL', key('empty'), ARGV[5])
end
return answer('ok', agreed or false)
