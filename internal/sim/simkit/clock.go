package simkit

import (
	"fmt"
	"sync"
	"time"
)

// MaxScale is how many times faster than the wall business time may run.
const MaxScale = 3600

// MaxAdvance is the longest single jump of business time: beyond the longest life of an order.
const MaxAdvance = 400 * 24 * time.Hour

// Clock is business time: what an order's expiry and a notice's retries are counted in. It starts at the wall's time,
// can be moved forward and made faster, never goes back, and keeps its place in the books.
type Clock struct {
	wall    func() time.Time
	books   *Books
	changed func()

	mu sync.Mutex
	at anchor
}

// anchor is one point where both times are known; times are UTC milliseconds.
type anchor struct {
	Wall     int64 `json:"wall"`
	Business int64 `json:"business"`
	Scale    int64 `json:"scale"`
}

const clockKind = "clock"

func openClock(wall func() time.Time, books *Books, changed func()) (*Clock, error) {
	now := wall().UnixMilli()
	c := &Clock{wall: wall, books: books, changed: changed, at: anchor{Wall: now, Business: now, Scale: 1}}
	err := books.Do(func(tx *Tx) error {
		_, err := tx.Get(clockKind, clockKind, &c.at)
		return err
	})
	return c, err
}

// Now returns business time, to the millisecond, UTC.
func (c *Clock) Now() time.Time {
	wall := c.wall().UnixMilli()
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.UnixMilli(c.at.business(wall)).UTC()
}

// WallAt returns the wall time at which business time reaches t, as the clock runs now.
func (c *Clock) WallAt(t time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ahead := t.UnixMilli() - c.at.Business
	wall := ahead / c.at.Scale
	if ahead > 0 && ahead%c.at.Scale != 0 {
		wall++ // waking a moment early would only mean waking twice
	}
	return time.UnixMilli(c.at.Wall + wall).UTC()
}

// Scale returns how many times faster than the wall business time runs.
func (c *Clock) Scale() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at.Scale
}

// Advance moves business time forward by 0 … MaxAdvance.
func (c *Clock) Advance(d time.Duration) error {
	if d < 0 || d > MaxAdvance {
		return fmt.Errorf("advance must lie between 0s and %s", MaxAdvance)
	}
	return c.move(func(a *anchor) { a.Business += d.Milliseconds() })
}

// SetScale lets business time run 1 … MaxScale times faster than the wall from now on.
func (c *Clock) SetScale(scale int64) error {
	if scale < 1 || scale > MaxScale {
		return fmt.Errorf("scale must be a whole number between 1 and %d", MaxScale)
	}
	return c.move(func(a *anchor) { a.Scale = scale })
}

// move re-anchors the clock at this moment and changes it, in the books first.
func (c *Clock) move(change func(*anchor)) error {
	wall := c.wall().UnixMilli()
	err := c.books.Do(func(tx *Tx) error {
		c.mu.Lock()
		next := anchor{Wall: wall, Business: c.at.business(wall), Scale: c.at.Scale}
		c.mu.Unlock()
		change(&next)
		tx.After(func() {
			c.mu.Lock()
			c.at = next
			c.mu.Unlock()
		})
		return tx.Put(clockKind, clockKind, next)
	})
	if err == nil {
		c.changed()
	}
	return err
}

func (a anchor) business(wall int64) int64 {
	// A wall clock set back must not take business time with it: an expired order stays expired.
	return a.Business + max(0, wall-a.Wall)*a.Scale
}
