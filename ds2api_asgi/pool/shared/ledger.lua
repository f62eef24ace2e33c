-- One step of a ledger in Redis: see ledger.py, whose order of members the numbers below are.
--
-- KEYS: all of one hash slot. ARGV[1]: the step as MessagePack; the answer is MessagePack as well.
-- ARGV[2]: milliseconds after which a pool that nobody uses may be forgotten.

local META, LANES, PROBES, VERSIONS, LEASES, HELD, COUNTS, SUMS, WINDOWS = unpack(KEYS, 1, 9)
local MAX_GONE = 256 -- records that are no more, of which those shall hear that have not looked for a while
local PARTS = 60     -- of a window; windows.py says why

local step = cmsgpack.unpack(ARGV[1])
local cursor, epoch, fresh_epoch, base, now = step[1], step[2], step[3], step[4], step[5]
local ttl, strict, needs, take, records = step[6], step[7], step[8], step[9], step[10]
local stamp, give, renew, sums, corrections, all_counts = step[11], step[12], step[13], step[14], step[15], step[16]
local keep = tonumber(ARGV[2])

if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local meta = redis.call('HMGET', META, 'epoch', 'sequence', 'floor')
local known_epoch, sequence, floor = meta[1], tonumber(meta[2] or 0), tonumber(meta[3] or 0)
if not known_epoch then
  known_epoch = fresh_epoch
  redis.call('HSET', META, 'epoch', known_epoch, 'sequence', 0, 'floor', 0)
end
local before = sequence
if base > sequence then sequence = base end
if epoch ~= known_epoch or cursor < floor then cursor = -1 end

local bumped = false
local function bump()
  if not bumped then
    sequence = sequence + 1
    bumped = true
  end
end

local counted = {}

local function give_back(id)
  local packed = redis.call('HGET', HELD, id)
  if not packed then return end
  redis.call('HDEL', HELD, id)
  redis.call('ZREM', LEASES, id)
  local lease = cmsgpack.unpack(packed)
  for _, name in ipairs(lease[1]) do
    local count = redis.call('HINCRBY', COUNTS, name, -1)
    if count <= 0 then redis.call('HDEL', COUNTS, name) end
    counted[name] = math.max(count, 0)
  end
  for _, name in ipairs(lease[2]) do
    if redis.call('HGET', PROBES, name) == id then
      redis.call('HDEL', PROBES, name)
      bump()
      redis.call('ZADD', VERSIONS, sequence, name)
    end
  end
end

local function hold(lease)
  local names = {}
  for i, counter in ipairs(lease[2]) do
    names[i] = counter[1]
    counted[counter[1]] = redis.call('HINCRBY', COUNTS, counter[1], 1)
  end
  redis.call('HSET', HELD, lease[1], cmsgpack.pack({names, lease[4]}))
  redis.call('ZADD', LEASES, now + ttl, lease[1])
end

-- A window is {part number, what was taken in it, ...}, oldest first: windows.py in Lua.
local function window_of(name, seconds)
  local packed = redis.call('HGET', WINDOWS, name)
  local parts = packed and cmsgpack.unpack(packed) or {}
  local length, kept, used = seconds / PARTS, {}, 0
  for i = 1, #parts, 2 do
    if (parts[i] + 1) * length + seconds > now then
      kept[#kept + 1], kept[#kept + 2] = parts[i], parts[i + 1]
      used = used + parts[i + 1]
    end
  end
  return kept, used, length
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', now)) do give_back(id) end
for _, id in ipairs(give) do give_back(id) end
if take then give_back(take[1]) end -- a client that sends a step again, because no answer came, may do it twice
for _, lease in ipairs(renew) do
  if redis.call('HEXISTS', HELD, lease[1]) == 1 then
    redis.call('ZADD', LEASES, now + ttl, lease[1])
  else
    hold(lease)
  end
end
for _, sum in ipairs(sums) do redis.call('HINCRBY', SUMS, sum[1], sum[2]) end

for _, correction in ipairs(corrections) do
  local packed = redis.call('HGET', WINDOWS, correction[1])
  local parts = packed and cmsgpack.unpack(packed) or {}
  for i = 1, #parts, 2 do
    if parts[i] == correction[2] then
      parts[i + 1] = parts[i + 1] + math.max(correction[3], -parts[i + 1])
      redis.call('HSET', WINDOWS, correction[1], cmsgpack.pack(parts))
    end
  end
end

local status, numbers = 'done', {}
if strict and (sequence ~= step[1] or cursor == -1) then
  status = 'conflict'
elseif needs ~= '' and redis.call('HEXISTS', HELD, needs) == 0 then
  status = 'gone'
elseif take then
  for _, counter in ipairs(take[2]) do
    local count = tonumber(redis.call('HGET', COUNTS, counter[1]) or 0)
    counted[counter[1]] = count
    if counter[2] > 0 and count >= counter[2] then
      status = 'full'
    end
  end
  local windows = {}
  for i, use in ipairs(take[3]) do
    local name, limit, seconds, _, room = unpack(use, 1, 5)
    local parts, used, length = window_of(name, seconds)
    local excess = used + math.min(room, limit) - limit
    if excess > 0 then
      for at = 2, #parts, 2 do
        excess = excess - parts[at]
      end
      if excess <= 0 then status = 'full' end -- or else only rounding is left, and nothing to forget
    end
    windows[i] = {parts, length}
  end
  if status == 'done' then
    for i, use in ipairs(take[3]) do
      local parts, length = windows[i][1], windows[i][2]
      local number, size = math.floor(now / length), #parts
      if size == 0 or parts[size - 1] < number then
        parts[size + 1], parts[size + 2] = number, 0
        size = size + 2
      end
      parts[size] = parts[size] + use[4]
      numbers[i] = parts[size - 1]
      redis.call('HSET', WINDOWS, use[1], cmsgpack.pack(parts))
    end
    hold(take)
  end
end

if status == 'done' and #records > 0 then
  bump()
  if stamp > sequence then sequence = stamp end
  local gone = false
  for _, record in ipairs(records) do
    local name, text, probe = record[1], record[2], record[3]
    if text == '' then
      redis.call('HDEL', LANES, name)
      gone = true
    else
      redis.call('HSET', LANES, name, text)
    end
    if probe == '' then redis.call('HDEL', PROBES, name) else redis.call('HSET', PROBES, name, probe) end
    redis.call('ZADD', VERSIONS, sequence, name)
  end
  if gone and redis.call('ZCARD', VERSIONS) > redis.call('HLEN', LANES) + MAX_GONE then
    for _, name in ipairs(redis.call('ZRANGE', VERSIONS, 0, -1)) do
      if redis.call('HEXISTS', LANES, name) == 0 then redis.call('ZREM', VERSIONS, name) end
    end
    floor = sequence
    redis.call('HSET', META, 'floor', floor)
  end
end
if sequence ~= before then redis.call('HSET', META, 'sequence', sequence) end

local changes = {}
if cursor < sequence then
  local found = redis.call('ZRANGEBYSCORE', VERSIONS, '(' .. string.format('%.17g', cursor), '+inf', 'WITHSCORES')
  for i = 1, #found, 2 do
    local name = found[i]
    local text = redis.call('HGET', LANES, name) or ''
    changes[#changes + 1] = {name, text, redis.call('HGET', PROBES, name) or '', tonumber(found[i + 1])}
  end
end

local counts, told_sums, told_windows = {}, {}, {}
all_counts = all_counts or status == 'full'
if all_counts then
  counted = {}
  local found = redis.call('HGETALL', COUNTS)
  for i = 1, #found, 2 do counted[found[i]] = tonumber(found[i + 1]) end
  found = redis.call('HGETALL', SUMS)
  for i = 1, #found, 2 do told_sums[#told_sums + 1] = {found[i], tonumber(found[i + 1])} end
  found = redis.call('HGETALL', WINDOWS)
  for i = 1, #found, 2 do
    local parts, pairs_of = cmsgpack.unpack(found[i + 1]), {}
    for at = 1, #parts, 2 do pairs_of[#pairs_of + 1] = {parts[at], parts[at + 1]} end
    told_windows[#told_windows + 1] = {found[i], pairs_of}
  end
end
for name, count in pairs(counted) do counts[#counts + 1] = {name, count} end

for i = 1, 9 do redis.call('PEXPIRE', KEYS[i], keep) end
return cmsgpack.pack({
  status, known_epoch, sequence, now, cursor == -1, changes, all_counts, counts, told_sums, told_windows, numbers,
})
