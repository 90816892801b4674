-- Makes the store agree with what an incarnation holds. ARGV: 5 MessagePack: a batch of
-- {session, token, nick, since (us), away text or false, {{room's token, name, order}...}}.
-- ok: the sessions whose nick another has got. In a settled store what had to be changed is
-- announced; in one that is being rebuilt it is not: everybody compares when the window ends.
-- Idempotent. A session that a former incarnation of the caller still holds is taken over.
local refused = refusal(false)
if refused then
  return refused
end
quiet = settling() > 0

local changes, lost = {}, {}
local function change_of(token)
  changes[token] = changes[token] or { joined = {}, left = {}, renamed = {} }
  return changes[token]
end

local function place(sid, nick, away, token, name, order)
  local stored = redis.call('HGET', key('room', token), sid)
  if not stored then
    admit(token, name, sid, order, away, nick)
    table.insert(change_of(token).joined, { sid, nick, away })
    return
  end
  local old_order, old_away, old = parsed(stored)
  if old_away ~= away or old ~= nick then
    redis.call('HSET', key('room', token), sid, entry(old_order, away, nick))
    table.insert(change_of(token).renamed, { sid, old, nick, away })
  end
end

for _, held in ipairs(cmsgpack.unpack(ARGV[5])) do
  local sid, token, nick, since, text, rooms = unpack(held)
  local owner = redis.call('HGET', key('nicks'), token)
  if owner and owner ~= sid then
    dismiss({ sid }, '')
    lost[#lost + 1] = sid
  else
    local before = redis.call('HMGET', key('session', sid), 'token', 'holder')
    if before[1] and before[1] ~= token then
      redis.call('HDEL', key('nicks'), before[1])
    end
    if before[2] and before[2] ~= own then
      redis.call('SREM', key('held', before[2]), sid)
    end
    redis.call('HSET', key('nicks'), token, sid)
    redis.call('HSET', key('session', sid), 'nick', nick, 'token', token, 'holder', own,
      'since', whole(since), 'grace_until', 0)
    if text then
      redis.call('HSET', key('session', sid), 'away', text)
    else
      redis.call('HDEL', key('session', sid), 'away')
    end
    redis.call('SADD', key('held', own), sid)
    local wanted = {}
    for _, room in ipairs(rooms) do
      wanted[room[1]] = true
      place(sid, nick, text and true or false, unpack(room))
    end
    for _, room in ipairs(redis.call('SMEMBERS', key('in', sid))) do
      if not wanted[room] then
        table.insert(change_of(room).left, remove(room, sid))
      end
    end
  end
end

for token, change in pairs(changes) do
  changed(token, next_version(token), change.joined, change.left, change.renamed, '')
end
return answer('ok', lost)
