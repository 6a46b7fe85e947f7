-- Takes tokens from a bucket, all or none, as one step. KEYS: the bucket. ARGV: now in microseconds (empty: Redis' own clock), tokens,
-- capacity, tokens that flow in each second. Answers whether it did, and the millionths of a token that were there before.
-- A level is a whole number of millionths. A full bucket has 4,294,967,295,000,000 at most, less than 2^53, so Lua's numbers are exact;
-- fmod is too, where % divides first.
local scale, cost, full, rate = 1000000, ARGV[2] * 1000000, ARGV[3] * 1000000, tonumber(ARGV[4])
local now
if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] * scale + time[2]
else
  now = tonumber(ARGV[1])
end
local function time_for(parts)
  local rest = math.fmod(parts, rate)
  local micros = (parts - rest) / rate
  if rest > 0 then return micros + 1 end
  return micros
end
local known = redis.call('HMGET', KEYS[1], 'parts', 'at')
local parts = full
if known[1] and known[2] then
  parts = math.min(tonumber(known[1]), full)
  local elapsed = math.max(now - tonumber(known[2]), 0)
  -- Asked the other way round first: a long rest times the rate would not be exact.
  if elapsed >= time_for(full - parts) then parts = full else parts = parts + elapsed * rate end
end
local left, allowed = parts, 0
if parts >= cost then left, allowed = parts - cost, 1 end
if left == full then
  redis.call('DEL', KEYS[1])
else
  redis.call('HSET', KEYS[1], 'parts', string.format('%.0f', left), 'at', string.format('%.0f', now))
  -- A full bucket is like none. A minute longer, for a clock that is set back meanwhile.
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(time_for(full - left) / 1000) + 60000))
end
return {allowed, string.format('%.0f', parts)}
