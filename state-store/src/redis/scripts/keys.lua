-- ARGV: time, a secret for the first key.
local key = world .. 'sealing_keys'
if redis.call('EXISTS', key) == 0 then
  redis.call('HSET', key, '1', ARGV[2])
end
return { stamp(), redis.call('HGETALL', key) }
