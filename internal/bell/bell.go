// Package bell wakes loops that sleep.
package bell

// Bell is heard by one sleeper for each ring. Rings that nobody hears are kept, as many as it was made for; more are lost.
// A nil Bell never rings.
type Bell chan struct{}

// New makes a Bell that keeps that many rings.
func New(rings int) Bell { return make(Bell, rings) }

// Ring never waits.
func (b Bell) Ring() {
	select {
	case b <- struct{}{}:
	default:
	}
}
