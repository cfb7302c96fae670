package redissessions

import "github.com/redis/go-redis/v9"

// What scripts answer, beside what they read.
const (
	answerDone  = "done"
	answerNone  = "none"
	answerBad   = "bad"
	answerStale = "stale"
	answerMoved = "moved"
)

// openScript keeps a new session. ARGV: generation, node, connected, secret, the rest, TTL in ms.
var openScript = redis.NewScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 'taken' end
redis.call('HSET', KEYS[1], 'g', ARGV[1], 'n', ARGV[2], 'o', ARGV[3], 'c', ARGV[4], 'p', '', 'r', ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return 'done'`)

// resumeScript gives a session to a node. ARGV: secret, next secret, number of the hello or 0, node, least TTL in ms.
// A session that a node of an older version has opened or resumed last has no 'a', or an older one: then too much is granted.
// Hashes of random secrets may be compared in any time: what that tells of them leads nowhere.
// Generations stay far below 2^53, beyond which Lua would round them, and numbers of hellos come in 53 bits.
var resumeScript = redis.NewScript(`
local s = redis.call('HMGET', KEYS[1], 'c', 'p', 'n', 'r', 'a')
if not s[1] then return 'none' end
local attempt = ARGV[3]
if s[1] ~= ARGV[1] then
  if s[2] ~= ARGV[1] then return 'bad' end
  local granted = s[5] or '0'
  if attempt == '0' then
    attempt = granted
  elseif tonumber(attempt) <= tonumber(granted) then
    return 'stale'
  end
end
redis.call('HSET', KEYS[1], 'p', ARGV[1], 'c', ARGV[2], 'a', attempt, 'n', ARGV[4], 'o', '1')
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[5]) then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
return {redis.call('HINCRBY', KEYS[1], 'g', 1), s[3], s[4]}`)

// saveScript keeps what has become of a session. ARGV: generation, node, connected, the rest, TTL in ms.
// It is sent as it is (EVAL) and not by its hash: it is part of pipelines, where a server that has forgotten it could not be helped.
const saveScript = `
local g = redis.call('HGET', KEYS[1], 'g')
if not g then return 'none' end
if g ~= ARGV[1] then return 'moved' end
redis.call('HSET', KEYS[1], 'n', ARGV[2], 'o', ARGV[3], 'r', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 'done'`

// indexScript enters a session into its player's index, and takes out what has ended. ARGV: session, its TTL in ms; the index's TTL.
const indexScript = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 'done'`
