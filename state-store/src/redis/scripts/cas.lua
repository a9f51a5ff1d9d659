-- ARGV: time, then a row and a capsule for each request, judged in order. A row:
--   1 region, 3 worker, 11 lease, 19 parks?, 20 named?, 21 expects?, 22 expected epoch,
--   30 expected region, 32 handoff, 48 applied, 52 tick, 60 joined?, 61 key
-- One that is joined and the next are written both, or neither is.
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

-- The answer, or else what to write.
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
  local name = string.sub(row, 61)
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
  local tail, named = string.sub(row, 32, 59), string.sub(row, 20, 20) == '\1'
  if named then
    tail, capsule = tail .. capsule, ''
  end
  return nil, {
    key = key, name = name, region = region, holder = holder, tail = tail, capsule = capsule,
    parks = parks, before = head, epoch = next_epoch(head and string.sub(head, 1, 8) or ZERO_EPOCH),
    tick = string.sub(row, 52, 59),
  }
end

local function write(new)
  redis.call('HSET', new.key, 'head', new.epoch .. new.region .. new.holder .. new.tail, 'capsule', new.capsule)
  if new.before and string.sub(new.before, 11, 11) == '\1' then
    redis.call('HDEL', owned(string.sub(new.before, 9, 10)), new.name)
  end
  if not new.parks then
    redis.call('HSET', owned(new.region), new.name, new.epoch)
  end
  if not latest or is_after(new.tick, latest) then
    latest = new.tick
  end
  return { 'won', new.epoch }
end

-- One that would be written, but for another one of its group.
local function spared(new)
  if not new.before then
    return { 'lost' }
  end
  return { 'lost', new.before, redis.call('HGET', new.key, 'capsule') }
end

local reply, i = {}, 2
while i <= #ARGV do
  local first, news, all, joined = i, {}, true, true
  while joined do
    local answer, new = judge(ARGV[i], ARGV[i + 1])
    reply[i / 2 + 1], news[i] = answer or false, new
    all = all and (new or answer[1] == 'again')
    joined = string.sub(ARGV[i], 60, 60) == '\1'
    i = i + 2
  end
  for j = first, i - 2, 2 do
    if news[j] then
      reply[j / 2 + 1] = all and write(news[j]) or spared(news[j])
    end
  end
end
if latest then
  raise_tick(latest)
end
reply[1] = stamp()
return reply
