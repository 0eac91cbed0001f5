package pay

import "time"

// Act is what a due attempt wants from its platform.
type Act string

// The acts.
const (
	ActNone  Act = ""
	ActOpen  Act = "open"  // (again) the identical request
	ActQuery Act = "query" // ask what became of it
	ActClose Act = "close"
)

// wanted reports whether a should be closed: its payment is over or closing, or the payer went back.
func wanted(p Payment, a Attempt) bool { return p.Done() || p.Closing() || !a.CloseWantedAt.IsZero() }

// NextAct says what the holder of a's claim should ask the platform now. Opening that ended unknown repeats the
// identical request; one that is to be closed asks first, because nobody can have its shape.
func NextAct(p Payment, a Attempt) Act {
	switch {
	case !a.Live():
		return ActNone
	case a.Opening() && wanted(p, a):
		return ActQuery
	case a.Opening() && a.Lazy:
		return ActNone // its first visitor opens it
	case a.Opening():
		return ActOpen
	case wanted(p, a):
		return ActClose
	}
	return ActQuery
}

// The times of the plan.
const (
	closeEvery     = 60 * time.Second
	openRetryFirst = time.Second
	openRetryMost  = 60 * time.Second
	unwatchedEarly = 60 * time.Second
	unwatchedLate  = 5 * time.Minute
	earlyFor       = 15 * time.Minute
	watchedEvery   = 15 * time.Second
	watchedFor     = 5 * time.Minute
	watchedAfter   = 60 * time.Second
)

var watchedFirst = [...]time.Duration{3 * time.Second, 6 * time.Second, 10 * time.Second, 15 * time.Second}

// NextDue is when a wants work again after what just happened: the zero time when never.
func NextDue(p Payment, a Attempt, now time.Time) time.Time {
	switch NextAct(p, a) {
	case ActNone:
		return time.Time{}
	case ActOpen:
		return now.Add(backOff(a.Due.Failures))
	case ActClose:
		return closeDue(a, now)
	case ActQuery:
		if wanted(p, a) {
			return now.Add(backOff(a.Due.Failures))
		}
	}
	return NextQuery(a, p.WatchedUntil, now)
}

// closeDue repeats a close each minute, and once at the moment from which "does not exist" closes.
func closeDue(a Attempt, now time.Time) time.Time {
	next, settled := now.Add(closeEvery), a.ExpiresAt.Add(AbsentGrace)
	if now.Before(settled) && settled.Before(next) {
		return settled
	}
	return next
}

func backOff(failures int64) time.Duration {
	wait := openRetryFirst
	for range min(failures, 6) {
		wait *= 2
	}
	return min(wait, openRetryMost)
}

// NextQuery is the query plan, so that a lost notice costs seconds: when to ask next about an open attempt.
// Watched: 3, 6, 10, 15 s after it was handed out, then each 15 s for 5 min, then each 60 s. Not watched: each 60 s
// for 15 min, then each 5 min. Always once at its expiry.
func NextQuery(a Attempt, watchedUntil, now time.Time) time.Time {
	since := a.HandedOutAt
	if since.IsZero() {
		since = a.CreatedAt
	}
	next := now.Add(interval(now.Sub(since), now.Before(watchedUntil)))
	if now.Before(a.ExpiresAt) && a.ExpiresAt.Before(next) {
		return a.ExpiresAt
	}
	return next
}

func interval(age time.Duration, watched bool) time.Duration {
	if !watched {
		if age < earlyFor {
			return unwatchedEarly
		}
		return unwatchedLate
	}
	for _, at := range watchedFirst {
		if age < at {
			return at - age
		}
	}
	if age < watchedFor {
		return watchedEvery
	}
	return watchedAfter
}
