-- ARGV: time, what to do, region, holder, epoch, ttl, tick; the last ones where they are needed. Whoever
-- evicts names the epoch of the director's lease.
if not settled() then
  return UNSETTLED
end
local what, region, holder, epoch = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local grant = read_grant(redis.call('HGET', leases, region))
local answer = 'lost'
if what == 'evict' then
  if read_grant(redis.call('HGET', meta, 'director')).epoch == epoch then
    answer = 'done'
    if grant.holder == holder then
      grant.holder = NOBODY
      write_grant(leases, region, grant)
    end
  end
elseif grant.holder == holder and grant.epoch == epoch then
  answer = 'done'
  if what == 'renew' then
    grant.ttl = tonumber(ARGV[6])
    grant.deadline = now() + grant.ttl
    write_grant(leases, region, grant)
    raise_tick(ARGV[7])
  elseif what == 'release' then
    grant.holder = NOBODY
    write_grant(leases, region, grant)
  end
elseif what == 'release' and grant.holder == NOBODY and grant.epoch == epoch and epoch ~= ZERO_EPOCH then
  -- Released already, and nobody came since: the same request again.
  answer = 'done'
end
return { stamp(), answer }
