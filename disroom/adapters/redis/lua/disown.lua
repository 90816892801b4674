-- Gives up sessions that the store takes for the caller's, which knows nothing of them. ARGV: 5 ms
-- of grace, 6... the sessions.
for i = 6, #ARGV do
  if holds(ARGV[i]) then
    abandon(ARGV[i], tonumber(ARGV[5]))
  end
end
announce('connection lost')
return answer('ok')
