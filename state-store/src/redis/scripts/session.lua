-- ARGV: time, player, session, nonce, edge, expected epoch or empty. A session is stored as
--   1 session, 17 nonce, 25 edge, 33 epoch
if not settled() then
  return UNSETTLED
end
local key = world .. 'session:' .. ARGV[2]
local stored = redis.call('GET', key)
local attempt = ARGV[3] .. ARGV[4]
local asked_before = stored and string.sub(stored, 1, 24) == attempt
if asked_before and string.sub(stored, 25, 32) == ARGV[5] then
  return { stamp(), 'won', stored }
end
local epoch = stored and string.sub(stored, 33, 40) or ''
if epoch ~= ARGV[6] and not asked_before then
  return { stamp(), 'lost', stored }
end
local written = attempt .. ARGV[5] .. next_epoch(stored and epoch or ZERO_EPOCH)
redis.call('SET', key, written)
return { stamp(), 'won', written }
