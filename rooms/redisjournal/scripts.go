package redisjournal

import "github.com/redis/go-redis/v9"

// What scripts answer, beside ids and epochs.
const (
	answerExists = "exists"
	answerGone   = "gone"
	answerLost   = "lost"
	answerDone   = "done"
)

// readTop is how every script starts. The journal is KEYS[1].
const readTop = `
local top = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local tomb = '` + tombID + `'
`

// forestalls is how scripts read a tombstone of Forestall: they are given the epoch that it is for. Epochs are milliseconds, far below 2^53.
const forestalls = `
local function forestalls()
	local field = top[2][2]
	if string.byte(field, 2) ~= 254 then return nil end
	local epoch = 0
	for i = 11, 18 do epoch = epoch * 256 + string.byte(field, i) end
	return epoch
end
`

// createScript stores a room's first entry, if the room has no journal. ARGV: id, field.
// It is sent as it is (EVAL) and not by its hash: it is part of pipelines, where a server that has forgotten it could not be helped.
const createScript = readTop + forestalls + `
if top then
	if top[1] ~= tomb then return 'exists' end
	local before = forestalls()
	if not before or tonumber(string.match(ARGV[1], '^%d+')) <= before then return 'gone' end
	redis.call('DEL', KEYS[1])
end
return redis.call('XADD', KEYS[1], ARGV[1], 'e', ARGV[2])`

// claimScript is rule R4. ARGV: the epoch seen, or 0; the nonce, packed; the field of a claim.
// A nonce that stands in the newest entry is ours, whatever entry that is: a claim that was sent again may come in behind entries
// that were already stored under the first.
var claimScript = redis.NewScript(readTop + `
if not top or top[1] == tomb then return 'gone' end
local epoch, field = string.match(top[1], '^%d+'), top[2][2]
if string.byte(field, 1) == 1 and string.sub(field, 3, 10) == ARGV[2] then return epoch end
if ARGV[1] ~= '0' and ARGV[1] ~= epoch then return 'lost' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local claim = string.format('%.0f', math.max(epoch + 1, now))
redis.call('XADD', KEYS[1], claim .. '-0', 'e', ARGV[3])
return claim`)

// buryScript puts a tombstone in the journal's place. KEYS[2], if given, is where the journal is put aside. ARGV: the epoch; the same
// as the tombstone has it; the tombstone's field; its time in ms; that of the journal put aside.
// PEXPIRE and RENAME come first as they need no memory: once a script has written, Redis lets it go on even if memory is short, and
// it is then that ended rooms must be able to go.
var buryScript = redis.NewScript(readTop + `
if not top then return 'gone' end
if top[1] == tomb then
	if string.sub(top[2][2], 11, 18) == ARGV[2] then return 'done' end
	return 'gone'
end
if string.match(top[1], '^%d+') ~= ARGV[1] then return 'lost' end
if KEYS[2] then
	redis.call('RENAME', KEYS[1], KEYS[2])
	redis.call('PEXPIRE', KEYS[2], ARGV[5])
else
	redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
redis.call('XADD', KEYS[1], 'MINID', '=', tomb, tomb, 'e', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 'done'`)

// forestallScript puts a tombstone where there is no journal. ARGV: the newest epoch that it is for; the tombstone's field; its time in ms.
var forestallScript = redis.NewScript(readTop + forestalls + `
if top then
	if top[1] ~= tomb then return 'exists' end
	local before = forestalls()
	if not before or before >= tonumber(ARGV[1]) then return 'done' end
	redis.call('DEL', KEYS[1])
end
redis.call('XADD', KEYS[1], tomb, 'e', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 'done'`)
