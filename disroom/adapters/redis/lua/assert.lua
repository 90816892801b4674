-- Makes the store agree with what an incarnation holds. ARGV: 5 MessagePack: a batch of
-- {session, token, nick, since (us), away text or false, {{room's token, name, order}...}, tenure,
-- key or '', previous key or '', ms of grace left or false if it is not suspended, what its
-- client was given or ''}.
-- ok: {sessions whose nick another has got}, {sessions that were resumed elsewhere}. In a settled
-- store what had to be changed is announced; in one that is being rebuilt it is not: everybody
-- compares when the window ends. Idempotent. A session that a former incarnation of the caller
-- still holds, or that is an orphan since that one was reaped, is taken over.
local refused = refusal(false)
if refused then
  return refused
end
quiet = settling() > 0

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

local function write(sid, field, value)
  if value and value ~= '' then
    redis.call('HSET', key('session', sid), field, value)
  else
    redis.call('HDEL', key('session', sid), field)
  end
end

local lost, moved = {}, {}
for _, held in ipairs(cmsgpack.unpack(ARGV[5])) do
  local sid, token, nick, since, text, rooms, tenure, secret, previous, left, given = unpack(held)
  local owner = redis.call('HGET', key('nicks'), token)
  local before = redis.call('HMGET', key('session', sid), 'token', 'holder', 'tenure')
  local stored = tonumber(before[3] or 0)
  if stored > tenure and before[2] ~= own then
    moved[#moved + 1] = sid
  elseif owner and owner ~= sid then
    dismiss(sid)
    lost[#lost + 1] = sid
  else
    if before[1] and before[1] ~= token then
      redis.call('HDEL', key('nicks'), before[1])
    end
    redis.call('HSET', key('nicks'), token, sid)
    redis.call('HSET', key('session', sid), 'nick', nick, 'token', token, 'since', whole(since),
      'grace_until', left and whole(now_ms + left) or 0)
    if text then -- it may be empty
      redis.call('HSET', key('session', sid), 'away', text)
    else
      redis.call('HDEL', key('session', sid), 'away')
    end
    write(sid, 'key', secret)
    write(sid, 'previous', previous)
    write(sid, 'given', given)
    take(sid, before[2], stored, math.max(stored, tenure))
    local wanted, away = {}, (text or left) and true or false
    for _, room in ipairs(rooms) do
      wanted[room[1]] = true
      place(sid, nick, away, unpack(room))
    end
    for _, room in ipairs(rooms_of(sid)) do
      if not wanted[room] then
        local member = remove(room, sid)
        if member then
          table.insert(change_of(room).left, member)
        end
      end
    end
  end
end

announce('')
return answer('ok', { lost, moved })
