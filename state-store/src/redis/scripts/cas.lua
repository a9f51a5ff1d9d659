-- ARGV: time, then a row and a capsule for each request, judged by itself and in order. A row:
--   1 region, 3 worker, 11 lease, 19 parks?, 20 named?, 21 expects?, 22 expected epoch,
--   30 expected region, 32 handoff, 48 applied, 52 tick, 60 key
-- In place of the capsule of a named state come the lease and the hash under which a journal has it.
-- A record is a hash of `capsule` and `head`:
--   1 epoch, 9 region, 11 held?, 12 worker, 20 lease, 28 handoff, 44 applied, 48 tick,
--   and of a named state 56 lease of the journal, 64 hash
if not settled() then
  return UNSETTLED
end
local MAX_CAPSULE_BYTES = 65536
local own = generation()
local latest = nil

local function judge(row, capsule)
  if #capsule > MAX_CAPSULE_BYTES then
    return { 'large' }
  end
  local region, expects = string.sub(row, 1, 2), string.sub(row, 21, 21) == '\1'
  local newest = struct.unpack('>I2', row, 11)
  if expects then
    newest = math.max(newest, (struct.unpack('>I2', row, 22)))
  end
  if newest > own then
    return { 'generation', own }
  end
  local guard = '\1' .. string.sub(row, 3, 10)
  local grant = read_grant(redis.call('HGET', leases, region))
  if grant.holder ~= guard or grant.epoch ~= string.sub(row, 11, 18) then
    return { 'lease' }
  end
  local name = string.sub(row, 60)
  local key = world .. 'record:' .. name
  local head = redis.call('HGET', key, 'head')
  local parks = string.sub(row, 19, 19) == '\1'
  local holder = parks and string.rep('\0', 17) or '\1' .. string.sub(row, 3, 18)
  local handoff = string.sub(row, 32, 47)
  if head and string.sub(head, 9, 43) == region .. holder .. handoff then
    return { 'again', head, redis.call('HGET', key, 'capsule') }
  end
  if head and not (expects and string.sub(head, 1, 10) == string.sub(row, 22, 31)) then
    return { 'lost', head, redis.call('HGET', key, 'capsule') }
  end
  if expects and not head then
    return { 'lost' }
  end
  local epoch = next_epoch(head and string.sub(head, 1, 8) or ZERO_EPOCH)
  local tail, named = string.sub(row, 32, 59), string.sub(row, 20, 20) == '\1'
  if named then
    tail, capsule = tail .. capsule, ''
  end
  redis.call('HSET', key, 'head', epoch .. region .. holder .. tail, 'capsule', capsule)
  if head and string.sub(head, 11, 11) == '\1' then
    redis.call('HDEL', owned(string.sub(head, 9, 10)), name)
  end
  if not parks then
    redis.call('HSET', owned(region), name, epoch)
  end
  local tick = string.sub(row, 52, 59)
  if not latest or is_after(tick, latest) then
    latest = tick
  end
  return { 'won', epoch }
end

local reply = {}
for i = 2, #ARGV, 2 do
  reply[i / 2 + 1] = judge(ARGV[i], ARGV[i + 1])
end
if latest then
  raise_tick(latest)
end
reply[1] = stamp()
return reply
