-- Ends a session: frees its nick and takes it out of its rooms. ARGV: 5 session, 6 reason.
-- Idempotent; a session that another incarnation holds by now is left alone.
local refused = refusal(false)
if refused then
  return refused
end
if holds(ARGV[5]) then
  dismiss(ARGV[5])
  announce(ARGV[6])
end
return answer('ok')
