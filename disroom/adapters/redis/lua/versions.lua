-- Reads the versions of rooms. ARGV: 5 their tokens, MessagePack.
-- ok: {settled, {version...}} in the order asked, 0 for an empty room.
local versions = {}
for i, token in ipairs(cmsgpack.unpack(ARGV[5])) do
  versions[i] = version_of(token)
end
return answer('ok', { settling() == 0, versions })
