-- Notes a room's newest seq and starts its time anew, unless somebody is in it.
-- ARGV: 5 token, 6 seq.
local refused = refusal(false)
if refused then
  return refused
end
if redis.call('EXISTS', key('room', ARGV[5])) == 0 then
  redis.call('HSET', key('empty'), ARGV[5], whole(now_ms) .. ' ' .. ARGV[6])
end
return answer('ok')
