-- ARGV: time, edge, ttl.
if not settled() then
  return UNSETTLED
end
local holder, ttl = ARGV[2], tonumber(ARGV[3])
local grant = read_grant(redis.call('HGET', meta, 'director'))
if held_by_other(meta, 'director', grant, holder) then
  return { stamp(), false }
end
if grant.holder ~= holder then
  grant = { epoch = next_epoch(grant.epoch), holder = holder }
end
grant.ttl = ttl
grant.deadline = now() + ttl
write_grant(meta, 'director', grant)
return { stamp(), grant.epoch }
