"""Lua that runs inside Redis, where several steps must be one: enqueueing, saying "I live", taking over a dead server.

They touch several keys at once, which Redis Cluster allows only for keys of one slot.
"""

from __future__ import annotations

import hashlib

from django_cfg.modules.django_rpc.protocol import OUR_PREFIX

__all__ = [
    "ALIVE",
    "CLAIM",
    "ENQUEUE",
    "ENQUEUE_SHA",
    "EXPLAIN",
    "FINISH",
    "FINISH_SHA",
    "LEAVE",
    "LOOK",
    "NO_RESPONDERS",
    "OVERLOADED",
]

NO_RESPONDERS = b"!no_responders"
OVERLOADED = b"!overloaded"

ENQUEUE = """
-- KEYS: stream, servers, one record per request, [the caller's reply list]
-- ARGV: group, most waiting, fuse, number of requests, then per request:
--       needs a server (0/1), record's ms, mark, number of fields and values, fields and values
-- Returns per request its entry id, or why it was refused; a refusal also goes to the reply list, where one is given.
local stream, servers = KEYS[1], KEYS[2]
local most, fuse, count = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local reply_list = KEYS[3 + count]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local backlog = redis.call('XLEN', stream)
local function rows(...)
  -- Of XINFO, each as a table; none where there is no stream or no group.
  local found = {}
  local answer = redis.pcall('XINFO', ...)
  for i, row in ipairs(answer.err and {} or answer) do
    found[i] = {}
    for j = 1, #row, 2 do found[i][row[j]] = row[j + 1] end
  end
  return found
end
local function own(name) return string.sub(name, 1, #'@OURS') == '@OURS' end
local deserted = redis.call('ZCOUNT', servers, now, '+inf') == 0
if deserted and redis.call('EXISTS', servers) == 0 then
  -- Older servers do not say that they live: their group does.
  for _, group in ipairs(rows('GROUPS', stream)) do
    if group['name'] == ARGV[1] then deserted = false end
  end
elseif deserted then
  -- Ours have been here, and older ones may be here still. Before Redis 7.2 `idle` begins at what they were last given.
  for _, consumer in ipairs(rows('CONSUMERS', stream, ARGV[1])) do
    if not own(consumer['name']) and consumer['idle'] < 86400000 then deserted = false end
  end
end
if backlog + count > most then
  -- What older servers have finished lies in the stream, and what failed there is theirs for ever: neither waits.
  for _, group in ipairs(rows('GROUPS', stream)) do
    if group['name'] == ARGV[1] then
      local waiting, next_id = group['lag'], '(' .. group['last-delivered-id']
      -- Unknown where requests were withdrawn that nobody had read.
      if not waiting and #redis.call('XRANGE', stream, next_id, '+', 'COUNT', 1) == 0 then waiting = 0 end
      if waiting then
        backlog = waiting
        for _, consumer in ipairs(rows('CONSUMERS', stream, ARGV[1])) do
          if own(consumer['name']) then backlog = backlog + consumer['pending'] end
        end
      end
    end
  end
end
local answers, at = {}, 5
for i = 1, count do
  local width = tonumber(ARGV[at + 3])
  local refusal = nil
  if deserted and ARGV[at] == '1' then
    refusal = '!no_responders'
  elseif backlog >= most then
    refusal = '!overloaded'
  end
  if refusal then
    if reply_list then redis.call('LPUSH', reply_list, refusal) end
    answers[i] = refusal
  else
    local first, last = at + 4, at + 3 + width
    answers[i] = redis.call('XADD', stream, 'MAXLEN', '~', fuse, '*', 'fresh', '1', unpack(ARGV, first, last))
    if not redis.call('SET', KEYS[2 + i], '?' .. ARGV[at + 2] .. answers[i], 'PX', ARGV[at + 1], 'NX') then
      redis.call('XDEL', stream, answers[i])
      answers[i] = redis.call('XADD', stream, 'MAXLEN', '~', fuse, '*', unpack(ARGV, first, last))
    end
    backlog = backlog + 1
  end
  at = at + 4 + width
end
return answers
""".replace("@OURS", OUR_PREFIX)

ENQUEUE_SHA = hashlib.sha1(ENQUEUE.encode(), usedforsecurity=False).hexdigest()

ALIVE = """#!lua flags=allow-oom
-- Also when memory is full: a server that could not say that it lives would lose what it runs to the others.
-- KEYS: servers. ARGV: consumer, ms until it counts as dead, seconds until the key is forgotten, 1 or -1
-- A draining server writes its moment negative: it owns its entries still, but answers nothing new.
-- Returns Redis's time.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], (now + ARGV[2]) * ARGV[4], ARGV[1], 0, 'served')
redis.call('EXPIRE', KEYS[1], ARGV[3])
return time
"""

CLAIM = """
-- KEYS: stream, servers. ARGV: group, claiming consumer, dead consumer, most entries, whether it may be forgotten (0/1)
-- Returns [[entry id, times delivered before, fields or false], ...]; nothing while the other consumer lives.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local until_ms = redis.call('ZSCORE', KEYS[2], ARGV[3])
if until_ms and math.abs(tonumber(until_ms)) >= now then return {} end
local pending = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[4], ARGV[3])
local claimed = {}
for i, entry in ipairs(pending) do
  local got = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, entry[1])
  claimed[i] = {entry[1], entry[4], got[1] and got[1][2] or false}
end
if #pending < tonumber(ARGV[4]) and ARGV[5] == '1' then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[3])
  redis.call('ZREM', KEYS[2], ARGV[3])
end
return claimed
"""

FINISH = """
-- KEYS: stream. ARGV: group, consumer, seconds that replies last, then per entry: its id; reply list or '', reply;
--       record's key or '', record, its seconds; number of further commands, and per command the number of its words,
--       and its words
-- Ends entries: each is removed, its reply, its record and its commands are written, in one step with the question
-- whether it is still the consumer's own. Only Redis can ask it: what a server sends may be held up on its way, until
-- others have taken over. What arrives twice finds its entries gone. Removal comes first: it passes also when memory is
-- full. A command behind `OWN key record` is left out where another call's record is under that key.
-- Returns how many entries were not its own, and then the errors of commands.
local answers, own, due, at = {0}, {}, {}, 4
while ARGV[at] do
  local id, next_at = ARGV[at], at + 7
  for _ = 1, ARGV[at + 6] do next_at = next_at + ARGV[next_at] + 1 end
  local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], id, id, 1)
  if not pending.err and pending[1] and pending[1][2] == ARGV[2] then
    own[#own + 1], due[#due + 1] = id, at
  else
    answers[1] = answers[1] + 1
  end
  at = next_at
end
if #own > 0 then
  redis.call('XACK', KEYS[1], ARGV[1], unpack(own))
  redis.call('XDEL', KEYS[1], unpack(own))
end
local function run(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then answers[#answers + 1] = answer.err end
end
local expires = {}
for _, at in ipairs(due) do
  local list, key, first = ARGV[at + 1], ARGV[at + 3], at + 7
  if list ~= '' then
    run('LPUSH', list, ARGV[at + 2])
    -- Many replies of one batch lie in one list, which needs one expiry.
    if not expires[list] then run('EXPIRE', list, ARGV[3]) end
    expires[list] = true
  end
  if key ~= '' then run('SET', key, ARGV[at + 4], 'EX', ARGV[at + 5]) end
  for _ = 1, ARGV[at + 6] do
    local last, held = first + ARGV[first], false
    local is_guarded = ARGV[first + 1] == 'OWN'
    if is_guarded then held = redis.pcall('GET', ARGV[first + 2]) end
    if not held or held == ARGV[first + 3] then run(unpack(ARGV, first + (is_guarded and 4 or 1), last)) end
    first = last + 1
  end
end
return answers
"""

FINISH_SHA = hashlib.sha1(FINISH.encode(), usedforsecurity=False).hexdigest()

LEAVE = """
-- KEYS: stream, servers. ARGV: group, consumer
-- The consumer ends: it no longer lives, and is forgotten unless entries are still its own.
redis.call('ZREM', KEYS[2], ARGV[2])
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if not pending.err and #pending == 0 then
  redis.pcall('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
end
return 1
"""

LOOK = """
-- KEYS: stream, one record per call. ARGV: group, then per call its entry's id, or '' where Redis never confirmed it
-- Returns per call, all of one moment, [its record, whether its entry is in the stream or with a server (0/1)].
local answers = {}
for i = 2, #ARGV do
  local record, id, there = redis.call('GET', KEYS[i]), ARGV[i], 0
  if id == '' and record and string.sub(record, 1, 1) == '?' then id = string.sub(record, 18) end
  if id ~= '' then
    there = #redis.call('XRANGE', KEYS[1], id, id)
    local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], id, id, 1)
    if not pending.err and pending[1] then there = 1 end
  end
  answers[i - 1] = {record, there}
end
return answers
"""

EXPLAIN = """
-- KEYS: stream, servers, the call's record. ARGV: group, entry id, most entries to count
-- Returns [live servers, entry there (0/1), consumer, ms since delivery, deliveries, entries ahead, record,
-- whether that consumer said that it lives, and does so no longer (0/1)].
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local live = redis.call('ZCOUNT', KEYS[2], now, '+inf')
local there = #redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
local record = redis.call('GET', KEYS[3])
local consumer, idle, deliveries, ahead, silent = false, 0, 0, 0, 0
local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1], ARGV[2], ARGV[2], 1)
if not pending.err and pending[1] then
  consumer, idle, deliveries = pending[1][2], pending[1][3], pending[1][4]
  local until_ms = redis.call('ZSCORE', KEYS[2], consumer)
  if until_ms and math.abs(tonumber(until_ms)) < now then silent = 1 end
elseif there == 1 then
  local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
  local last = '-'
  if not groups.err then
    for _, group in ipairs(groups) do
      if group[2] == ARGV[1] then last = '(' .. group[8] end
    end
  end
  ahead = #redis.call('XRANGE', KEYS[1], last, '(' .. ARGV[2], 'COUNT', ARGV[3])
end
return {live, there, consumer, idle, deliveries, ahead, record, silent}
"""
