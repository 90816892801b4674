-- Reads the rooms that are empty and not forgotten.
-- ok: {settled, the time in ms, entries as in the hash empty, flat}.
return answer('ok', { settling() == 0, now_ms, redis.call('HGETALL', key('empty')) })
