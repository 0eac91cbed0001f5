package webhook

import (
	"net/http"
	"strconv"
	"time"
)

// waits are the pauses before each try (Standard Webhooks, "Example retry schedule"): 75 h 35 min in all.
var waits = [...]time.Duration{
	0, 5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour,
	5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
}

const (
	jitterPart    = 10 // a pause grows by up to a tenth, so that endpoints that fell together do not rise together
	maxRetryAfter = 24 * time.Hour
)

// pause is how long to wait after the given number of failures; false when the delivery is given up. rnd(n) is
// uniform in 0…n-1. A Retry-After can lengthen a pause, never shorten it.
func pause(failures int64, retryAfter time.Duration, rnd func(n int64) int64) (time.Duration, bool) {
	if failures < 1 || failures >= int64(len(waits)) {
		return 0, false
	}
	wait := waits[failures]
	wait += time.Duration(rnd(int64(wait/jitterPart) + 1))
	return max(wait, min(retryAfter, maxRetryAfter)), true
}

// retryAfter reads the header in either form (RFC 9110 §10.2.3), 0 when there is none that can be read.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
