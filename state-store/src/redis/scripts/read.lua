-- ARGV: time, what to read, and of what.
settled()
local what, of = ARGV[2], ARGV[3]
if what == 'generation' then
  return { stamp(), generation() }
elseif what == 'tick' then
  return { stamp(), tick_high() }
elseif what == 'record' then
  return { stamp(), redis.call('HMGET', world .. 'record:' .. of, 'head', 'capsule') }
elseif what == 'records' then
  local records = {}
  for i = 3, #ARGV do
    records[i - 2] = redis.call('HMGET', world .. 'record:' .. ARGV[i], 'head', 'capsule')
  end
  return { stamp(), records }
elseif what == 'owned' then
  return { stamp(), redis.call('HGETALL', world .. 'owned:' .. of) }
elseif what == 'session' then
  return { stamp(), redis.call('GET', world .. 'session:' .. of) }
end
local live, time = {}, now()
local stored = redis.call('HGETALL', leases)
for i = 1, #stored, 2 do
  local grant = read_grant(stored[i + 1])
  if grant.holder ~= NOBODY and time < grant.deadline then
    live[#live + 1] = stored[i] .. string.sub(grant.holder, 2) .. grant.epoch
  end
end
return { stamp(), live }
