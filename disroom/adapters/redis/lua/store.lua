-- What every presence script begins with: the keys, and how a room changes.
--
-- Arguments: ARGV[1] the prefix of all keys, ARGV[2] the channel, ARGV[3] the caller's
-- incarnation, ARGV[4] '1' if the time at which a room empties is to be kept, ARGV[5]... the
-- script's own. A token is the form of a name that is safe in a key.
--
-- Result: one string, MessagePack [status, body]; one string because the client decodes it at
-- once, where nested replies cost it a parsing step each. Statuses: ok; lease: the incarnation
-- holds none, so nothing was done; settling: not before body ms have passed; session: the session
-- is not held by the incarnation; taken: another session holds the nick; gone: there is no such
-- session to resume.
--
-- Keys, each after the prefix and a colon:
--   nicks                hash: token of a nick -> session
--   session:<session>    hash: nick, token, holder (incarnation, empty for an orphan), since (us),
--                        away (the text, if it is), key and previous (if it can be resumed; see
--                        resume.lua), tenure (how often it was resumed: of two instances that take
--                        a session for theirs the one that knows the greater is right), grace_until
--                        (ms at which a suspended one ends, else 0), given (what its client had by
--                        then, see suspend.lua)
--   in:<session>         sorted set: token of a room -> us of the joining
--   orphans              sorted set: session that no incarnation holds -> ms at which it ends
--   held:<incarnation>   set: its sessions
--   room:<token>         hash: session -> "<order> <1 if away, else 0> <nick>"; the order is the
--                        room's version at the joining, so it tells who came first even in a store
--                        that was lost and rebuilt
--   order:<token>        sorted set: session -> the same order
--   names, versions      hashes: token -> the name as the first member wrote it; the version
--   counts               sorted set: token -> minus the number of members: the fullest come first
--   empty                hash: token -> "<ms at which it emptied> <seq noted, or ->"
--   mark                 the greatest version of a room that is gone
--   leases               sorted set: incarnation -> ms of expiry
--   reaping              hash: incarnation whose sessions are being taken out -> reason
--   holders, instances   hashes: incarnation -> name of the instance; the reverse, newest only
--   epoch                hash: run (the server's run_id), seen (ms of the last tick or entrance),
--                        settled (ms at which the settle window ends)
-- All of a room but its entry in empty goes when its last member does, and all of an incarnation
-- when its last session does.

local prefix, channel, own, keeps_empty = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'
local quiet = false -- while a lost store is rebuilt, nothing that comes back is news

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local now_ms = math.floor(now / 1000)

local function key(name, id)
  return id and prefix .. ':' .. name .. ':' .. id or prefix .. ':' .. name
end

-- Lua would write a microsecond time as 1.764e+15.
local function whole(number)
  return string.format('%.0f', number)
end

local function answer(status, body)
  return cmsgpack.pack({ status, body })
end

-- The ms for which the store still settles. A store without an epoch has lost everything.
local function settling()
  local settled = redis.call('HGET', key('epoch'), 'settled')
  return settled and math.max(0, settled - now_ms) or 1
end

-- The answer to a change that must not be made, or nil.
local function refusal(waits)
  if not redis.call('ZSCORE', key('leases'), own) then
    return answer('lease')
  end
  local left = waits and settling() or 0
  if left > 0 then
    return answer('settling', left)
  end
end

local function entry(order, away, nick)
  return whole(order) .. (away and ' 1 ' or ' 0 ') .. nick
end

local function parsed(stored)
  local order, away, nick = string.match(stored, '^(%d+) (%d) (.*)$')
  return tonumber(order), away == '1', nick
end

local function version_of(token)
  return tonumber(redis.call('HGET', key('versions'), token) or 0)
end

-- Gives the room its next version. A new room starts at the time, which is past anything that it
-- had in a former life, unless the clock was put back: then the mark is.
local function next_version(token)
  local version = version_of(token) + 1
  if version == 1 then
    version = math.max(now, tonumber(redis.call('GET', key('mark')) or 0) + 1)
  end
  redis.call('HSET', key('versions'), token, whole(version))
  return version
end

-- Puts a session on the list of a room that is not on it, without announcing it. The times of those
-- put on several lists by one script differ, so that the order is kept.
local admitted = 0
local function admit(token, name, sid, order, away, nick)
  redis.call('HSETNX', key('names'), token, name)
  redis.call('HSET', key('room', token), sid, entry(order, away, nick))
  redis.call('ZADD', key('order', token), whole(order), sid)
  redis.call('ZADD', key('in', sid), 'NX', whole(now + admitted), token)
  admitted = admitted + 1
  redis.call('HDEL', key('empty'), token)
end

local function rooms_of(sid)
  return redis.call('ZRANGE', key('in', sid), 0, -1)
end

-- Announces what has been done to a room as its version `version`, and counts its members.
-- joined and left: {session, nick, away}; renamed: {session, old nick, new nick, away}.
local function changed(token, version, joined, left, renamed, reason)
  if not quiet then
    local name = redis.call('HGET', key('names'), token)
    local change = { name, version, now, joined, left, renamed, reason }
    redis.call('PUBLISH', channel, cmsgpack.pack(change))
  end
  local members = redis.call('HLEN', key('room', token))
  if members > 0 then
    redis.call('ZADD', key('counts'), -members, token)
    return
  end
  redis.call('ZREM', key('counts'), token)
  redis.call('HDEL', key('names'), token)
  redis.call('HDEL', key('versions'), token)
  if version > tonumber(redis.call('GET', key('mark')) or 0) then
    redis.call('SET', key('mark'), whole(version))
  end
  if keeps_empty then
    redis.call('HSET', key('empty'), token, whole(now_ms) .. ' -')
  end
end

-- Takes a session off the list of a room; returns it as announced, or nil if it is not in there.
local function remove(token, sid)
  local stored = redis.call('HGET', key('room', token), sid)
  redis.call('ZREM', key('in', sid), token)
  if stored then
    redis.call('HDEL', key('room', token), sid)
    redis.call('ZREM', key('order', token), sid)
    local _, away, nick = parsed(stored)
    return { sid, nick, away }
  end
end

-- What a script does to several rooms, or to one room several times, is one change of each.
local changes = {}
local function change_of(token)
  changes[token] = changes[token] or { joined = {}, left = {}, renamed = {} }
  return changes[token]
end

-- The reason is that of the leaving.
local function announce(reason)
  for token, change in pairs(changes) do
    local why = #change.left > 0 and reason or ''
    changed(token, next_version(token), change.joined, change.left, change.renamed, why)
  end
end

-- Shows a session as away, or as back, in its rooms.
local function mark(sid, away)
  for _, token in ipairs(rooms_of(sid)) do
    local order, before, nick = parsed(redis.call('HGET', key('room', token), sid))
    if before ~= away then
      redis.call('HSET', key('room', token), sid, entry(order, away, nick))
      table.insert(change_of(token).renamed, { sid, nick, nick, away })
    end
  end
end

-- Ends a session.
local function dismiss(sid)
  for _, token in ipairs(rooms_of(sid)) do
    local member = remove(token, sid)
    if member then
      table.insert(change_of(token).left, member)
    end
  end
  local session = redis.call('HMGET', key('session', sid), 'token', 'holder')
  if session[1] and redis.call('HGET', key('nicks'), session[1]) == sid then
    redis.call('HDEL', key('nicks'), session[1])
  end
  if session[2] then
    redis.call('SREM', key('held', session[2]), sid)
  end
  redis.call('ZREM', key('orphans'), sid)
  redis.call('DEL', key('session', sid))
end

-- Makes a session an orphan, or ends one that cannot be resumed.
local function abandon(sid, grace)
  local session = redis.call('HMGET', key('session', sid), 'holder', 'key', 'grace_until')
  if not session[2] then
    dismiss(sid)
    return
  end
  local ends, suspended = now_ms + grace, tonumber(session[3])
  if suspended > 0 then
    ends = math.min(ends, suspended)
  end
  redis.call('SREM', key('held', session[1]), sid)
  redis.call('HSET', key('session', sid), 'holder', '', 'grace_until', whole(ends))
  redis.call('ZADD', key('orphans'), whole(ends), sid)
  mark(sid, true)
end

-- Takes a session from whoever holds it. Of a greater tenure, it has moved: its instance hears.
local function take(sid, holder, before, tenure)
  if holder and holder ~= own then
    redis.call('SREM', key('held', holder), sid)
    redis.call('ZREM', key('orphans'), sid)
    if tenure > before then
      redis.call('PUBLISH', channel, cmsgpack.pack({ sid, tenure, own }))
    end
  end
  redis.call('SADD', key('held', own), sid)
  redis.call('HSET', key('session', sid), 'holder', own, 'tenure', whole(tenure))
end

local function holds(sid)
  return redis.call('HGET', key('session', sid), 'holder') == own
end

local function is_suspended(sid)
  return tonumber(redis.call('HGET', key('session', sid), 'grace_until') or 0) > 0
end
