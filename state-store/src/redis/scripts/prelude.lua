-- Stands before every script. KEYS[1] is the world's `meta`; all other keys of the world begin as it does.
-- ARGV[1] is the time in milliseconds, or empty for the server's.
-- Epochs, regions, ids and ticks are big-endian bytes: a Lua number has only 53 bits.
local meta = KEYS[1]
local world = string.sub(meta, 1, -5)
local leases = world .. 'leases'
local reported = world .. 'reported'

local ZERO_EPOCH = string.rep('\0', 8)
local NOBODY = string.rep('\0', 9)

local function now()
  if ARGV[1] ~= '' then
    return tonumber(ARGV[1])
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function generation()
  return tonumber(redis.call('HGET', meta, 'generation'))
end

-- One more than `epoch`, in the generation of the store.
local function next_epoch(epoch)
  local _, high, low = struct.unpack('>I2I2I4', epoch)
  low = low + 1
  if low == 4294967296 then
    low = 0
    high = (high + 1) % 65536
  end
  return struct.pack('>I2I2I4', generation(), high, low)
end

-- A lease: epoch, whether somebody holds it and who, length and deadline in milliseconds.
local function read_grant(stored)
  if not stored then
    return { epoch = ZERO_EPOCH, holder = NOBODY, ttl = 0, deadline = 0 }
  end
  local ttl, deadline = struct.unpack('>I8I8', stored, 18)
  return { epoch = string.sub(stored, 1, 8), holder = string.sub(stored, 9, 17), ttl = ttl, deadline = deadline }
end

local function write_grant(key, field, grant)
  local packed = struct.pack('>I8I8', grant.ttl, grant.deadline)
  redis.call('HSET', key, field, grant.epoch .. grant.holder .. packed)
end

-- Milliseconds for which another than `holder` has `grant`, or nil. Where the clock was set back, a lease
-- lasts its length from now and not until the clock has caught up.
local function held_by_other(key, field, grant, holder)
  if grant.holder == NOBODY or grant.holder == holder then
    return nil
  end
  local latest = now() + grant.ttl
  if grant.deadline > latest then
    grant.deadline = latest
    write_grant(key, field, grant)
  end
  local remaining = grant.deadline - now()
  return remaining > 0 and remaining or nil
end

local function is_after(tick, other)
  local high, low = struct.unpack('>I4I4', tick)
  local other_high, other_low = struct.unpack('>I4I4', other)
  return high > other_high or (high == other_high and low > other_low)
end

local function tick_high()
  return redis.call('HGET', meta, 'tick') or ZERO_EPOCH
end

local function raise_tick(tick)
  if is_after(tick, tick_high()) then
    redis.call('HSET', meta, 'tick', tick)
  end
end

local function owned(region)
  return world .. 'owned:' .. string.format('%04x', struct.unpack('>I2', region))
end

-- Begins a generation above `seen`, which is not below the own one.
local function raise_generation(seen)
  redis.call('HSET', meta, 'generation', math.min(seen + 1, 65535))
end

-- Whether decisions may be made: `opened` is there from a start of the server until the holders of leases
-- have reported, or until their leases have run out.
local function settled()
  local opened = redis.call('HGET', meta, 'opened')
  if not opened then
    return true
  end
  local longest, all = 0, true
  local stored = redis.call('HGETALL', leases)
  for i = 1, #stored, 2 do
    local grant = read_grant(stored[i + 1])
    if grant.holder ~= NOBODY then
      longest = math.max(longest, grant.ttl)
      all = all and redis.call('HGET', reported, stored[i]) == '1'
    end
  end
  local waited = now() - tonumber(opened)
  if waited < 0 then
    -- The clock was set back.
    redis.call('HSET', meta, 'opened', string.format('%.0f', now()))
    waited = 0
  end
  if waited < longest and not (all and waited >= longest / 4) then
    return false
  end
  if not all then
    -- Who did not report may have been granted what nobody else knows.
    raise_generation(generation())
  end
  redis.call('HDEL', meta, 'opened')
  redis.call('DEL', reported)
  return true
end

-- Every reply begins with this.
local function stamp()
  return 'ok'
end

local UNSETTLED = { 'unsettled' }
