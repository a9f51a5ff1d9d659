-- ARGV: time, region, holder, ttl.
if not settled() then
  return UNSETTLED
end
local region, holder = ARGV[2], ARGV[3]
local grant = read_grant(redis.call('HGET', leases, region))
local remaining = held_by_other(leases, region, grant, holder)
if remaining then
  return { stamp(), 'held', string.sub(grant.holder, 2), remaining }
end
local ttl = tonumber(ARGV[4])
local taken = { epoch = next_epoch(grant.epoch), holder = holder, ttl = ttl, deadline = now() + ttl }
write_grant(leases, region, taken)
return { stamp(), 'granted', taken.epoch }
