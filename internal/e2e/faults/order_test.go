package faults_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/e2e/totals"
)

const (
	wal        = "test.db-wal"
	traceWhile = 4 * time.Minute // a traced load, on a busy machine
)

// numberLen is the length of our numbers without their prefix (internal/id). Of a platform's number, which is longer, we
// take the end.
const numberLen = 26

// A number of ours is one of a payment, attempt, event or refund, or the one that a platform knows it by.
var (
	number    = regexp.MustCompile(`\b(?:[a-z]{3}_)?(0[0-9a-hjkmnp-tv-z]{25})\b`)
	requestID = regexp.MustCompile(`Request-Id: (\S+)`)
)

// said are the numbers that a text for the network holds, and the transaction whose notice it answers with success.
func said(text string, notices map[string]string) (out []string) {
	for _, m := range number.FindAllStringSubmatch(strings.ReplaceAll(text, "%22", `"`), -1) {
		out = append(out, m[1])
	}
	if m := requestID.FindStringSubmatch(text); m != nil && notices[m[1]] != "" {
		transaction := notices[m[1]]
		out = append(out, transaction[len(transaction)-numberLen:])
	}
	return out
}

// written calls found for every run of numberLen letters and digits in a page: its fields stand side by side.
func written(page string, found func(string)) {
	run := 0
	for i := range len(page) {
		c := page[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' {
			run++
		} else {
			run = 0
		}
		if run >= numberLen {
			found(page[i+1-numberLen : i+1])
		}
	}
}

// outOfOrder returns what left the process before it was durable: each number, in an answer, a webhook or a call to a
// platform, must be in a write to the WAL after which a flush of the WAL began and ended well before that was sent.
func outOfOrder(deeds []deed, notices map[string]string) (wrong []error, checked int) {
	first := map[string]int{}   // where its first write came back, by number; 0: not yet
	durable := map[string]int{} // where its flush came back
	for _, d := range deeds {
		if d.kind == "say" {
			for _, id := range said(d.data, notices) {
				first[id] = 0
			}
		}
	}
	told := map[string]bool{}
	for _, at := range slices.SortedFunc(moments(deeds), func(a, b moment) int { return a.line - b.line }) {
		d := at.deed
		switch {
		case d.kind == "write" && d.file == wal && at.end && !d.failed:
			written(d.data, func(id string) {
				if line, wanted := first[id]; wanted && line == 0 {
					first[id] = d.ended
				}
			})
		case d.kind == "sync" && d.file == wal && at.end && !d.failed:
			for id, line := range first {
				if durable[id] == 0 && line > 0 && line < d.began {
					durable[id] = d.ended
				}
			}
		case d.kind == "say" && !at.end:
			for _, id := range said(d.data, notices) {
				if told[id] {
					continue
				}
				told[id] = true
				checked++
				if durable[id] == 0 {
					wrong = append(wrong, fmt.Errorf("line %d: %s left before it was durable (written at line %d): %.60q", d.began, id, first[id], d.data))
				}
			}
		}
	}
	return wrong, checked
}

// moment is the begin or the end of a deed.
type moment struct {
	deed *deed
	line int
	end  bool
}

func moments(deeds []deed) func(func(moment) bool) {
	return func(yield func(moment) bool) {
		for i := range deeds {
			d := &deeds[i]
			if !yield(moment{d, d.began, false}) || d.ended > 0 && !yield(moment{d, d.ended, true}) {
				return
			}
		}
	}
}

// tracing is a load of customers under strace and what it showed.
type tracing struct {
	deeds   []deed
	notices map[string]string // by Request-Id, the transaction of each that was answered with success
	verdict error             // of the people
}

// trace runs a program under strace from its first start to its last word, with so many customers at once.
func trace(ctx context.Context, t *testing.T, program func() (string, error), customers int, settings ...string) tracing {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, traceWhile)
	defer cancel()
	h := newHouse(t, newTown(ctx, t, program, 1), "")
	h.giveUp = cancel
	out := filepath.Join(t.TempDir(), "trace")
	h.under = underStrace(out)
	h.open(ctx, settings...)
	h.customers(ctx, "trace", customers)
	h.close()
	h.checkSettled()
	h.checkHeard()
	file := must[*os.File](t)(os.Open(out))
	defer func() { _ = file.Close() }()
	return tracing{must[[]deed](t)(parse(file)), h.acked.notices, h.verdict()}
}

// TestTraces holds what a trace of the shipped program under a load of creates, notices, webhooks and refunds shows against
// I-05, I-07 and I-11. Two mistakes show that it can see.
func TestTraces(t *testing.T) {
	t.Parallel()
	customers := 6
	if soak {
		customers = 200
	}
	good := trace(t.Context(), t, plain, customers)
	if good.verdict != nil {
		t.Error(good.verdict)
	}
	unsynced := trace(t.Context(), t, hooked, 2, "FAULT_WRONG=normal")
	t.Run("I05 nothing is told before it is durable", func(t *testing.T) {
		good.checkOrder(t, customers)
		early := trace(t.Context(), t, hooked, 1, "FAULT_WRONG=early")
		for mistake, bad := range map[string]tracing{"normal": unsynced, "early": early} {
			if wrong, checked := outOfOrder(bad.deeds, bad.notices); len(wrong) == 0 {
				t.Errorf("the mistake %q was not seen in %d numbers: %v", mistake, checked, bad.verdict)
			}
		}
	})
	t.Run("I07 a power cut loses nothing that was told", func(t *testing.T) {
		good.checkCuts(t)
		if _, err := unsynced.cuts(t, 10); err == nil {
			t.Error("what was not flushed was lost, and nobody saw")
		}
	})
}

func (tr tracing) checkOrder(t *testing.T, customers int) {
	wrong, checked := outOfOrder(tr.deeds, tr.notices)
	for _, err := range wrong {
		t.Error(err)
	}
	kinds := map[string]int{}
	for _, d := range tr.deeds {
		for _, kind := range []string{"HTTP/1.1 201", "POST /webhook", "POST /v3/", "POST /gateway.do"} {
			if d.kind == "say" && strings.Contains(d.data, kind) {
				kinds[kind]++
			}
		}
	}
	if kinds["HTTP/1.1 201"] < 2*customers || len(tr.notices) < customers || checked < 6*customers {
		t.Errorf("%d customers: the trace has %v, %d notices and %d checked numbers", customers, kinds, len(tr.notices), checked)
	}
	totals.Write(t, "order", totals.Row{What: "customers at once", Found: customers},
		totals.Row{What: "writes, flushes and sends in the trace", Found: len(tr.deeds)},
		totals.Row{What: "answers 201 to shops", Found: kinds["HTTP/1.1 201"]},
		totals.Row{What: "notices answered with success", Found: len(tr.notices)},
		totals.Row{What: "webhooks", Found: kinds["POST /webhook"]},
		totals.Row{What: "calls to platforms", Found: kinds["POST /v3/"] + kinds["POST /gateway.do"]},
		totals.Row{What: "numbers when they first left, each after the flush that made it durable", Found: checked})
}

func TestOutOfOrder(t *testing.T) {
	t.Parallel()
	const id = "pay_06h1tveanc00mbsmmmq4bnpw1c"
	write := deed{kind: "write", file: wal, data: "…" + id + "…", began: 1, ended: 2}
	flush := deed{kind: "sync", file: wal, began: 3, ended: 4}
	say := deed{kind: "say", data: `HTTP/1.1 201 Created {"id":"` + id + `"}`, began: 5, ended: 6}
	with := func(d deed, change func(*deed)) deed { change(&d); return d }
	for _, row := range []struct {
		name  string
		deeds []deed
		wrong int
	}{
		{"written, flushed, told", []deed{write, flush, say}, 0},
		{"never written", []deed{flush, say}, 1},
		{"never flushed", []deed{write, say}, 1},
		{"told while it is flushed", []deed{write, with(flush, func(d *deed) { d.ended = 6 }), say}, 1},
		{"the flush began while it was written", []deed{with(write, func(d *deed) { d.ended = 4 }), flush, say}, 1},
		{"the flush failed", []deed{write, with(flush, func(d *deed) { d.failed = true }), say}, 1},
		{"another file was flushed", []deed{write, with(flush, func(d *deed) { d.file = "test.db" }), say}, 1},
		{"told again", []deed{write, flush, say, say}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if wrong, checked := outOfOrder(row.deeds, nil); len(wrong) != row.wrong || checked != 1 {
				t.Errorf("checked %d: %v", checked, wrong)
			}
		})
	}
	notice := []deed{with(write, func(d *deed) { d.data = "4200" + id[4:] }), with(say, func(d *deed) { d.data = "HTTP/1.1 200 OK\r\nRequest-Id: req_1\r\n" })}
	if wrong, checked := outOfOrder(notice, map[string]string{"req_1": "4200" + id[4:]}); len(wrong) != 1 || checked != 1 {
		t.Errorf("a notice answered too early was not seen: %d %v", checked, wrong)
	}
}
