-- ARGV[2]: the server's run id. A server that was started again, or another one after a failover, gives every
-- lease its whole length anew, so that a holder who could not renew meanwhile is not robbed; and it decides
-- nothing until those holders have reported, because its data may be old.
local format = redis.call('HGET', meta, 'format')
if not format then
  redis.call('HSET', meta, 'format', '1', 'generation', '1', 'run', ARGV[2])
  return { stamp(), '1' }
end
if format == '1' and redis.call('HGET', meta, 'run') ~= ARGV[2] then
  local stored = redis.call('HGETALL', leases)
  local held = false
  for i = 1, #stored, 2 do
    local grant = read_grant(stored[i + 1])
    held = held or grant.holder ~= NOBODY
    grant.deadline = now() + grant.ttl
    write_grant(leases, stored[i], grant)
  end
  local director = redis.call('HGET', meta, 'director')
  if director then
    local grant = read_grant(director)
    grant.deadline = now() + grant.ttl
    write_grant(meta, 'director', grant)
  end
  redis.call('HSET', meta, 'run', ARGV[2])
  redis.call('DEL', reported)
  if held then
    redis.call('HSET', meta, 'opened', string.format('%.0f', now()))
  else
    redis.call('HDEL', meta, 'opened')
  end
end
return { stamp(), format }
