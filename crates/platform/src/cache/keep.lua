-- Puts an entry, if it may. KEYS: the entry. ARGV: now, mode (put, newer, rule), version, expires, milliseconds, fits (1 or 0), value.
-- Times and versions are texts of twenty digits: compared as texts they are exact, where Lua's numbers end at 2^53.
-- Answers 1 when it was put, 0 when something as new is there, -1 when it does not fit (the old is gone all the same).
local now, mode, version, expires = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local known = redis.call('HMGET', KEYS[1], 'expires', 'version')
if mode ~= 'put' and known[1] and known[1] > now and known[2] then
  if known[2] > version then return 0 end
  -- The version that a marker waits for may come in; the one that is there need not come again.
  if known[2] == version and (mode == 'rule' or redis.call('HEXISTS', KEYS[1], 'value') == 1) then return 0 end
end
if ARGV[6] == '0' or expires <= now then
  redis.call('DEL', KEYS[1])
  return ARGV[6] == '0' and -1 or 1
end
local fields = {'expires', expires}
local function with(field, text) fields[#fields + 1], fields[#fields + 2] = field, text end
if mode ~= 'put' then with('version', version) end
if mode ~= 'rule' then with('value', ARGV[7]) end
-- The first write of all: once a script has written something, Redis lets it past maxmemory. Without room the old entry goes all the same.
local kept = redis.pcall('HSET', KEYS[1], unpack(fields))
if type(kept) == 'table' then
  redis.call('DEL', KEYS[1])
  return kept
end
if mode == 'put' then redis.call('HDEL', KEYS[1], 'version') end
if mode == 'rule' then redis.call('HDEL', KEYS[1], 'value') end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
