-- Leaves a room. ARGV: 5 session, 6 token, 7 reason. Idempotent.
-- ok: the time, us.
local sid, token = ARGV[5], ARGV[6]
local refused = refusal(false)
if refused then
  return refused
end
local member = holds(sid) and remove(token, sid)
if member then
  changed(token, next_version(token), {}, { member }, {}, ARGV[7])
end
return answer('ok', now)
