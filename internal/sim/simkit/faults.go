package simkit

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// FaultSettings is how badly the platforms behave; the zero value is a platform that behaves well. Percentages are
// whole numbers 0 … 100, each rolled by itself. Settings are forgotten at a restart.
type FaultSettings struct {
	DropPercent        int   `json:"drop_percent"`         // a notice's try is lost on its way; the table goes on
	DropForever        bool  `json:"drop_forever"`         // a lost notice is never tried again
	DoublePercent      int   `json:"double_percent"`       // a try is sent twice in a row
	DelayMSMax         int64 `json:"delay_ms_max"`         // each try comes up to this much later, in business milliseconds
	LostAnswerPercent  int   `json:"lost_answer_percent"`  // a call takes effect and its answer is lost
	FailBeforePercent  int   `json:"fail_before_percent"`  // a call is answered 5xx and has no effect
	FailAfterPercent   int   `json:"fail_after_percent"`   // a call takes effect and is answered 5xx
	RateLimitedPercent int   `json:"rate_limited_percent"` // a call is answered "too many requests" and has no effect
	ProbeNoticePercent int   `json:"probe_notice_percent"` // a notice's try carries a signature that is wrong on purpose
	ProbeAnswerPercent int   `json:"probe_answer_percent"` // an answer carries a signature that is wrong on purpose
	UnsignedErrors     bool  `json:"unsigned_errors"`      // refusals that could be signed are not

	// Refunds. Those that take time arrive RefundMS business milliseconds after they were accepted, 0 = UsualRefund.
	RefundMS              int64 `json:"refund_ms"`
	RefundAbnormalPercent int   `json:"refund_abnormal_percent"` // cannot reach the payer and wait for the merchant (WeChat)
	RefundClosedPercent   int   `json:"refund_closed_percent"`   // are closed, and the money returns to the merchant (WeChat)
}

// UsualRefund is how long a refund is under way, in business time, where the platform does not answer at once.
const UsualRefund = time.Second

const maxDelayMS = int64(24 * time.Hour / time.Millisecond)

func (s FaultSettings) check() error {
	for name, percent := range map[string]int{
		"drop_percent": s.DropPercent, "double_percent": s.DoublePercent, "lost_answer_percent": s.LostAnswerPercent,
		"fail_before_percent": s.FailBeforePercent, "fail_after_percent": s.FailAfterPercent, "rate_limited_percent": s.RateLimitedPercent,
		"probe_notice_percent": s.ProbeNoticePercent, "probe_answer_percent": s.ProbeAnswerPercent,
		"refund_abnormal_percent": s.RefundAbnormalPercent, "refund_closed_percent": s.RefundClosedPercent,
	} {
		if percent < 0 || percent > 100 {
			return fmt.Errorf("%s must be a whole number between 0 and 100", name)
		}
	}
	if s.DelayMSMax < 0 || s.DelayMSMax > maxDelayMS {
		return fmt.Errorf("delay_ms_max must be a whole number between 0 and %d", maxDelayMS)
	}
	if s.RefundMS < 0 || s.RefundMS > maxDelayMS {
		return fmt.Errorf("refund_ms must be a whole number between 0 and %d", maxDelayMS)
	}
	return nil
}

// Faults rolls what goes wrong, from a seed: the same calls in the same order meet the same faults.
type Faults struct {
	mu   sync.Mutex
	set  FaultSettings
	rand *rand.Rand
}

func newFaults(seed uint64) *Faults {
	return &Faults{rand: rand.New(rand.NewPCG(seed, seed))} //nolint:gosec // repeatable dice, no secret
}

// Set replaces all settings.
func (f *Faults) Set(s FaultSettings) error {
	if err := s.check(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set = s
	return nil
}

// Settings returns what is set.
func (f *Faults) Settings() FaultSettings {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set
}

// CallFate is what befalls one call to a platform. At most one of the first four holds.
type CallFate struct {
	RateLimited bool // answer the platform's own "too many requests", do nothing
	FailBefore  bool // answer the platform's own 5xx, do nothing
	LoseAnswer  bool // do it, then LoseAnswer()
	FailAfter   bool // do it, then answer the platform's own 5xx
	Probe       bool // do it, and sign the answer wrongly
}

// Call rolls the fate of one call.
func (f *Faults) Call() CallFate {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.roll(f.set.RateLimitedPercent):
		return CallFate{RateLimited: true}
	case f.roll(f.set.FailBeforePercent):
		return CallFate{FailBefore: true}
	case f.roll(f.set.LostAnswerPercent):
		return CallFate{LoseAnswer: true}
	case f.roll(f.set.FailAfterPercent):
		return CallFate{FailAfter: true}
	}
	return CallFate{Probe: f.roll(f.set.ProbeAnswerPercent)}
}

// LoseAnswer ends an HTTP handler so that its client sees the connection break.
func LoseAnswer() { panic(http.ErrAbortHandler) }

type noticeFate struct{ drop, forever, double, probe bool }

func (f *Faults) notice() noticeFate {
	f.mu.Lock()
	defer f.mu.Unlock()
	drop := f.roll(f.set.DropPercent)
	return noticeFate{
		drop: drop, forever: drop && f.set.DropForever,
		double: f.roll(f.set.DoublePercent), probe: f.roll(f.set.ProbeNoticePercent),
	}
}

func (f *Faults) delay() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.set.DelayMSMax == 0 {
		return 0
	}
	return time.Duration(f.rand.Int64N(f.set.DelayMSMax+1)) * time.Millisecond
}

// RefundFate is what becomes of one accepted refund. At most one of the two holds.
type RefundFate struct {
	After            time.Duration // in business time
	Abnormal, Closed bool
}

// Refund rolls the fate of one refund.
func (f *Faults) Refund() RefundFate {
	f.mu.Lock()
	defer f.mu.Unlock()
	fate := RefundFate{After: time.Duration(f.set.RefundMS) * time.Millisecond}
	if fate.After == 0 {
		fate.After = UsualRefund
	}
	fate.Abnormal = f.roll(f.set.RefundAbnormalPercent)
	fate.Closed = !fate.Abnormal && f.roll(f.set.RefundClosedPercent)
	return fate
}

func (f *Faults) roll(percent int) bool {
	return percent > 0 && f.rand.IntN(100) < percent
}
