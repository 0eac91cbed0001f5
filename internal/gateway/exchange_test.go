package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/store"
)

// walFrames is the size of what was committed since the last checkpoint.
func (w *world) walFrames() int64 {
	w.t.Helper()
	info, err := os.Stat(w.path + "-wal")
	w.must(err)
	return info.Size()
}

// exchanged is what was exchanged about p, one line each.
func (w *world) exchanged(p pay.Payment) []string {
	w.t.Helper()
	w.must(w.g.StoreExchanges(w.t.Context()))
	all, err := w.db.Exchanges(w.t.Context(), p.ID)
	w.must(err)
	var out []string
	for _, e := range all {
		out = append(out, fmt.Sprintf("%s %s %s %s ×%d", e.Direction, e.Op, e.Outcome, e.Code, e.Times))
	}
	return out
}

func TestExchangesOfAnAttempt(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		do   func(w *world, p pay.Payment)
		want []string // beside the order that opened it
	}{
		{"an accepted notice, twice", func(w *world, p pay.Payment) {
			w.notice(w.qr, p.Attempts[0], "tx", nil)
			w.notice(w.qr, p.Attempts[0], "tx", nil)
		}, []string{"in notice applied paid ×1", "in notice duplicate paid ×1"}},
		{"a notice of another amount, three times", func(w *world, p pay.Payment) {
			for range 3 {
				w.notice(w.qr, p.Attempts[0], "tx", func(n *note) { n.Amount-- })
			}
		}, []string{"in notice quarantine amount_mismatch ×3"}},
		{"a forged notice that names its number", func(w *world, p pay.Payment) {
			w.g.Notice(w.t.Context(), "/payment/scan/notify", http.Header{}, "", []byte("out_trade_no="+p.Attempts[0].OutTradeNo+"&sign=x"))
		}, []string{"in notice forged signature ×1"}},
		{"a query that gets no answer, and one that does", func(w *world, _ pay.Payment) {
			w.qr.script(func(string, string) error { return fail(channel.Unknown) }, nil)
			w.advance(time.Minute)
			w.qr.script(nil, nil)
			w.advance(time.Minute)
		}, []string{"out query unknown SCRIPTED ×1", "out query answered unpaid ×1"}},
		{"a close", func(w *world, p pay.Payment) {
			_, err := w.g.ClosePayment(w.t.Context(), "shop", p.ID)
			w.must(err)
		}, []string{"out close answered closed ×1"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.create("o1", "scan")
			w.now.Add(1)
			row.do(w, p)
			got := w.exchanged(p)
			if want := append([]string{"out open answered qr ×1"}, row.want...); !slices.Equal(got, want) {
				t.Errorf("%q\nwant %q", got, want)
			}
		})
	}
}

func TestRefusedNoticesWithoutAnAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	w.notice(w.qr, p.Attempts[0], "tx", func(n *note) { n.No = "nobody" })
	w.notice(w.qr, p.Attempts[0], "tx", func(n *note) { n.Sig = "bad" })
	w.g.Notice(t.Context(), "/payment/scan/notify", http.Header{}, "", []byte("<out_trade_no><![CDATA[\x1b[31mred]]></out_trade_no>"))
	w.must(w.g.StoreExchanges(t.Context()))
	rows, err := w.db.Refused(t.Context(), 10)
	w.must(err)
	var got []string
	for _, e := range rows {
		got = append(got, fmt.Sprintf("%s %s %s %q ×%d", e.Account, e.Outcome, e.Code, e.OutTradeNo, e.Times))
	}
	slices.Sort(got)
	want := []string{`scan-1 forged signature "" ×2`, `scan-1 unknown_order paid "nobody" ×1`}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// Money rule 4: what anybody can send is bounded in memory, in rows and in commits.
func TestFloodOfDifferentForgeries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create("o1", "scan")
	for i := range 5000 {
		w.g.Notice(t.Context(), "/payment/scan/notify", http.Header{}, "", fmt.Appendf(nil, "out_trade_no=x%d&sign=x", i))
	}
	w.must(w.g.StoreExchanges(t.Context()))
	rows, err := w.db.Refused(t.Context(), 5000)
	w.must(err)
	if len(rows) != 256 || w.g.Refused() != 5000 {
		t.Errorf("%d rows, %d refused", len(rows), w.g.Refused())
	}
}

// A database that is away keeps nobody from paying later, and what was exchanged meanwhile is stored once it is back.
func TestExchangesAreStoredOncePerSecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	next, err := w.g.StepExchanges(t.Context())
	w.must(err)
	if want := w.clock().Add(time.Second); !next.Equal(want) {
		t.Fatalf("again at %s, want %s", next, want)
	}
	w.notice(w.qr, p.Attempts[0], "tx", nil)
	_, err = w.g.StepExchanges(t.Context())
	w.must(err)
	count := func() int {
		all, err := w.db.Exchanges(t.Context(), p.ID)
		w.must(err)
		return len(all)
	}
	if n := count(); n != 1 {
		t.Fatalf("%d rows within the same second", n)
	}
	w.now.Add(1000)
	away, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = w.g.StepExchanges(away); err == nil {
		t.Fatal("a failed write was no error")
	}
	w.now.Add(1000)
	_, err = w.g.StepExchanges(t.Context())
	w.must(err)
	if n := count(); n != 2 {
		t.Fatalf("%d rows after the database came back", n)
	}
}

func TestClaimedNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create("o1", "scan")
	for body, want := range map[string]string{
		"a=b&out_trade_no=ab_1&c=d":                              "ab_1",
		"<xml><out_trade_no><![CDATA[ab_1]]></out_trade_no>":     "ab_1",
		`{"out_trade_no": "ab_1"}`:                               "ab_1",
		"<out_trade_no>ab_1</out_trade_no>":                      "ab_1",
		"out_trade_no=":                                          "",
		"out_trade_no":                                           "",
		"out_trade_no=" + strings.Repeat("a", 65):                "",
		"out_trade_no=" + strings.Repeat("a", 64):                strings.Repeat("a", 64),
		"A103 out_trade_no=a\r\nfake line":                       "a",
		"out_trade_no=" + strings.Repeat(" ", 200) + "far":       "",
		"out_trade_no=" + string([]byte{0x1b}) + "[31m&x=y":      "",
		"out_trade_no=\x00\x01" + strings.Repeat("b", 64<<10-20): "",
	} {
		w.g.Notice(t.Context(), "/payment/scan/notify", http.Header{}, "", []byte(body))
		w.must(w.g.StoreExchanges(t.Context()))
		w.now.Add(1)
		rows, err := w.db.Refused(t.Context(), 100)
		w.must(err)
		if !slices.ContainsFunc(rows, func(e store.Exchange) bool { return e.OutTradeNo == want }) {
			t.Errorf("%.40q: %q not among %+v", body, want, rows)
		}
		for _, e := range rows {
			if len(e.OutTradeNo) > 64 || strings.ContainsAny(e.OutTradeNo, "\x00\x01\x1b\r\n") {
				t.Errorf("%.40q was kept as %q", body, e.OutTradeNo)
			}
		}
	}
}
