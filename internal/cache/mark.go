package cache

import (
	"fmt"
	"time"

	"github.com/lakebase-exec/lakebase-exec/internal/credential"
)

// mark says, beside the store and without asking it, how the last mints for a key
// ended. It decides what is looked at first and whether to wait, never what is
// used. Times are nanoseconds since the epoch.
type mark struct {
	minted, expires int64 // of the token that the store took last; 0 when there was none
	lost            int   // mints since then, close to each other, that left nothing
	lostAt          int64 // when the last of them ended
}

// lostTogether is how close to each other mints must fail to count as one row.
const lostTogether = time.Minute

func markName(key credential.Key) string { return key.ID()[:32] + ".saved" }

// fresh says whether the token that is told of may have min of its life left.
func (m mark) fresh(now time.Time, min time.Duration) bool {
	t := credential.Token{Value: credential.NewSecret("marked"), MintedAt: time.Unix(0, m.minted), ExpiresAt: time.Unix(0, m.expires)}
	return m.minted != 0 && t.Fresh(now, min)
}

// marked reads the mark; one that cannot be read is the zero mark.
func (c *Cache) marked(key credential.Key) mark {
	if c.Files == nil {
		return mark{}
	}
	data, err := c.Files.ReadFile(markName(key), 128)
	if err != nil {
		return mark{}
	}
	var m mark
	if n, err := fmt.Sscan(string(data), &m.minted, &m.expires, &m.lost, &m.lostAt); n != 4 || err != nil {
		return mark{}
	}
	return m
}

func (c *Cache) setMark(key credential.Key, m mark) {
	if c.Files == nil {
		return
	}
	if err := c.Files.WriteFile(markName(key), fmt.Appendln(nil, m.minted, m.expires, m.lost, m.lostAt)); err != nil {
		c.told("marking the store", err)
	}
}

// markSaved remembers that the store has taken a token.
func (c *Cache) markSaved(key credential.Key, t credential.Token) {
	c.setMark(key, mark{minted: t.MintedAt.UnixNano(), expires: t.ExpiresAt.UnixNano()})
}

// markLost remembers that a mint left nothing that others could use.
func (c *Cache) markLost(key credential.Key) {
	m, now := c.marked(key), c.Now().UnixNano()
	if age := time.Duration(now - m.lostAt); age < 0 || age > lostTogether {
		m.lost = 0
	}
	m.lost, m.lostAt = m.lost+1, now
	c.setMark(key, m)
}
