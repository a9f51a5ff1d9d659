-- What a process knows of the world. ARGV: time; region, holder and epoch of its lease; ttl; tick; edge and
-- epoch of its right to direct; number of entities, number of sessions. Then for each entity its name,
-- epoch, head and capsule, the last two empty at first; for each session the player and the session.
-- A higher epoch is believed: nobody else can have granted it.
settled()

-- The newest generation of what is not known here. An older one than the own cannot be granted again anyway.
local lost = -1

local function find(epoch)
  lost = math.max(lost, (struct.unpack('>I2', epoch)))
end

local ttl = tonumber(ARGV[5])
local function granted(holder, epoch)
  return { epoch = epoch, holder = holder, ttl = ttl, deadline = now() + ttl }
end

if ARGV[7] ~= '' then
  local grant = read_grant(redis.call('HGET', meta, 'director'))
  if is_after(ARGV[8], grant.epoch) then
    write_grant(meta, 'director', granted(ARGV[7], ARGV[8]))
    find(ARGV[8])
  end
end

local entities, sessions = tonumber(ARGV[9]), tonumber(ARGV[10])
for i = 11 + entities * 4, 10 + entities * 4 + sessions * 2, 2 do
  local key, session = world .. 'session:' .. ARGV[i], ARGV[i + 1]
  local there = redis.call('GET', key)
  local epoch = string.sub(session, 33, 40)
  if not there or is_after(epoch, string.sub(there, 33, 40)) then
    redis.call('SET', key, session)
    find(epoch)
  end
end

local region, holder, missing, current = ARGV[2], ARGV[3], {}, true
if region ~= '' then
  local grant = read_grant(redis.call('HGET', leases, region))
  if is_after(ARGV[4], grant.epoch) then
    grant = granted(holder, ARGV[4])
    write_grant(leases, region, grant)
    find(ARGV[4])
  end
  current = grant.holder == holder and grant.epoch == ARGV[4]
  for i = 11, current and 10 + entities * 4 or 0, 4 do
    local name, epoch, head = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local key = world .. 'record:' .. name
    local there = redis.call('HGET', key, 'head')
    if not there or is_after(epoch, string.sub(there, 1, 8)) then
      find(epoch)
      if head == '' then
        missing[#missing + 1] = name
      else
        redis.call('HSET', key, 'head', epoch .. region .. holder .. ARGV[4] .. string.sub(head, 28), 'capsule', ARGV[i + 3])
        if there and string.sub(there, 11, 11) == '\1' then
          redis.call('HDEL', owned(string.sub(there, 9, 10)), name)
        end
        redis.call('HSET', owned(region), name, epoch)
      end
    end
  end
  if current then
    raise_tick(ARGV[6])
    if #missing == 0 and redis.call('HGET', meta, 'opened') then
      redis.call('HSET', reported, region, '1')
    end
  end
end
if lost >= generation() then
  raise_generation(lost)
end
if not current then
  return { stamp(), 'lost' }
end
return { stamp(), settled() and 1 or 0, generation(), missing }
