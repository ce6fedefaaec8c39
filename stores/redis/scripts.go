package redis

import (
	"crypto/fips140"

	"github.com/redis/go-redis/v9"
)

// The fields of a visitor's hash:
//
//	d, g, e  the row: data, generation (a decimal, only ever compared), end
//	w        the SaveIf that wrote the row, if it was one
//	v        the version of this layout; there is none in what holds no row or lease
//	o, l     the lease: owner, end
//	m        the mark: there while the row has not been written since the
//	         lease was taken
//	c        not empty if an earlier lease was abandoned; counts with the mark only
//
// Ends are in microseconds of the server's clock. A row or a lease whose end has
// come is not there; the hash lives until the later of the two.
//
// A later version that an older process could misread writes another v: every
// script of the older one then fails and changes nothing.
const (
	// present gives a script the time, and ends it where the layout is another.
	present = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local v = redis.call('HMGET', KEYS[1], 'v')[1]
if v and v ~= '1' then
  return redis.error_reply('NEWER a newer version of the SDK wrote this visitor in another layout; nothing is lost: try again, and update this process')
end
`

	// clock gives it besides what is there of row and lease.
	clock = present + `
local f = redis.call('HMGET', KEYS[1], 'g', 'e', 'o', 'l', 'm', 'c')
local generation, row_end = f[1], tonumber(f[2] or 0)
local owner, lease_end, mark = f[3], tonumber(f[4] or 0), f[5]
local abandoned = mark and (lease_end <= now or f[6] and f[6] ~= '')
if row_end <= now then generation = '0' end
`

	// answer declares so, which answers n after a write that changes nothing: a
	// server that may not write (a replica that was the primary, or a primary cut
	// off from its replicas under min-replicas-to-write) fails there, instead of
	// answering from what it knows. Such a write must not come before one that
	// takes memory: a full server refuses only the first write of a script.
	answer = `
local function so(n)
  redis.call('HDEL', KEYS[1], '')
  return n
end
`

	// until declares live, which lets the hash live until at, or drops it if that
	// has passed. What is in it may end in the middle of a millisecond.
	until = `
local function live(at)
  if at > now then
    redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', math.ceil(at / 1000)))
  else
    redis.call('DEL', KEYS[1])
  end
end
`
)

// newScript computes the SHA-1 by which Redis calls a script. It protects nothing,
// so that FIPS mode need not refuse it.
func newScript(text string) (script *redis.Script) {
	fips140.WithoutEnforcement(func() { script = redis.NewScript(text) })
	return script
}

var (
	loadScript = newScript(present + `
local f = redis.call('HMGET', KEYS[1], 'd', 'e')
if f[1] and tonumber(f[2]) > now then return f[1] end
return false
`)

	// data, generation, ttl, expected generation or '', a name for this call;
	// answers 1 if it wrote. go-redis sends a script again when its response is lost:
	// this call then finds its own name, and answers the same.
	saveScript = newScript(clock + answer + until + `
if ARGV[4] ~= '' and ARGV[4] ~= generation then
  if row_end > now and ARGV[5] == redis.call('HMGET', KEYS[1], 'w')[1] then return so(1) end
  return so(0)
end
row_end = now + tonumber(ARGV[3])
redis.call('HSET', KEYS[1], 'd', ARGV[1], 'g', ARGV[2], 'e', string.format('%.0f', row_end), 'w', ARGV[5], 'v', '1')
redis.call('HDEL', KEYS[1], 'm')
live(math.max(row_end, lease_end))
return 1
`)

	// It looks at no field of the row: they may be damaged.
	deleteScript = newScript(present + until + `
local lease_end = tonumber(redis.call('HMGET', KEYS[1], 'l')[1] or 0) or 0
redis.call('HDEL', KEYS[1], 'd', 'g', 'e', 'w', 'm')
live(lease_end)
return 1
`)

	// owner, ttl; answers 0 if another owner has the lease, 1, or 2 if an earlier
	// one was abandoned. Sent again because its response was lost, it answers the same.
	acquireScript = newScript(clock + answer + until + `
if lease_end > now and owner ~= ARGV[1] then return so(0) end
if lease_end <= now then
  redis.call('HSET', KEYS[1], 'o', ARGV[1], 'm', '1', 'c', abandoned and '1' or '', 'v', '1')
end
lease_end = now + tonumber(ARGV[2])
redis.call('HSET', KEYS[1], 'l', string.format('%.0f', lease_end))
live(math.max(row_end, lease_end))
if abandoned then return 2 end
return 1
`)

	remainingScript = newScript(clock + answer + `
if owner == ARGV[1] and lease_end > now then return so(lease_end - now) end
return so(0)
`)

	releaseScript = newScript(clock + answer + until + `
if owner ~= ARGV[1] or lease_end <= now then return so(0) end
redis.call('HDEL', KEYS[1], 'o', 'l')
if not abandoned then redis.call('HDEL', KEYS[1], 'm', 'c') end
live(row_end)
return 1
`)
)
