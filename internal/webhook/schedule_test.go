package webhook

import (
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestPause(t *testing.T) {
	t.Parallel()
	none := func(int64) int64 { return 0 }
	most := func(n int64) int64 { return n - 1 }
	const h, m, s = time.Hour, time.Minute, time.Second
	for _, row := range []struct {
		failures int64
		after    time.Duration
		rnd      func(int64) int64
		want     time.Duration // 0 = given up
	}{
		{1, 0, none, 5 * s},
		{2, 0, none, 5 * m},
		{3, 0, none, 30 * m},
		{4, 0, none, 2 * h},
		{5, 0, none, 5 * h},
		{6, 0, none, 10 * h},
		{7, 0, none, 14 * h},
		{8, 0, none, 20 * h},
		{9, 0, none, 24 * h},
		{10, 0, none, 0},
		{1, 0, most, 5*s + 500*time.Millisecond},
		{9, 0, most, 24*h + 144*m},
		{1, 60 * s, none, 60 * s},
		{2, 60 * s, none, 5 * m},
		{1, 100 * h, none, 24 * h},
		{10, h, none, 0},
		{11, 0, none, 0},
		{0, 0, none, 0},
		{-1, 0, none, 0},
	} {
		got, ok := pause(row.failures, row.after, row.rnd)
		if got != row.want || ok != (row.want != 0) {
			t.Errorf("after %d failures, Retry-After %v: %v %v, want %v", row.failures, row.after, got, ok, row.want)
		}
	}
}

// Whatever comes, a pause is bounded and the tries end.
func TestPauseIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		failures := rapid.Int64().Draw(t, "failures")
		after := time.Duration(rapid.Int64().Draw(t, "retry after"))
		got, ok := pause(failures, after, func(n int64) int64 { return rapid.Int64Range(0, n-1).Draw(t, "rnd") })
		if ok != (failures >= 1 && failures <= 9) || got < 0 || got > 27*time.Hour {
			t.Fatalf("%v %v", got, ok)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "120": 2 * time.Minute, "-5": 0, "1.5": 0, "soon": 0, "99999999999999999999": 0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
