-- ARGV[2]: the server's run id. A server that was started again gives every lease its whole length anew,
-- so that a holder who could not renew meanwhile is not robbed.
local format = redis.call('HGET', meta, 'format')
if not format then
  redis.call('HSET', meta, 'format', '1', 'generation', '1', 'run', ARGV[2])
  return { stamp(), '1' }
end
if format == '1' and redis.call('HGET', meta, 'run') ~= ARGV[2] then
  local stored = redis.call('HGETALL', leases)
  for i = 1, #stored, 2 do
    local grant = read_grant(stored[i + 1])
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
end
return { stamp(), format }
