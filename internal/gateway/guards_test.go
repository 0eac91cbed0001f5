package gateway_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// The tests of this file were missing: each was written because a mutant of package mutants survived.

// Between loading and writing somebody else changes the payment: what was decided is decided again, and never taken for
// done (I-05).
func TestI05WhoWasSlowerDecidesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	w.qr.pay(p.Attempts[0].OutTradeNo, "tx1")
	other := w.g
	c := w.config
	meanwhile := func() { // the shop cancels
		c, verdict := pay.Decide(w.load(p.ID), pay.WantClose{Reason: pay.Cancelled}, w.clock(), w.config.NewID)
		if verdict != pay.Applied {
			t.Fatal(verdict)
		}
		w.must(w.db.Apply(t.Context(), c))
	}
	c.NewID = func(prefix string) string {
		if prefix == "evt" && meanwhile != nil { // it is deciding, on what it loaded before
			do := meanwhile
			meanwhile = nil
			do()
		}
		return w.config.NewID(prefix)
	}
	w.g = gateway.New(c)
	r := w.notice(w.qr, p.Attempts[0], "tx1", nil)
	w.g = other
	if got := w.load(p.ID); r.Body != "success" || !got.IsPaid() || w.events(p)[pay.EventPaymentClosing] != 1 {
		t.Fatalf("answered %+v, and the payment is %+v", r, got)
	}
}

func TestA87MoreReturnURLs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for url, ok := range map[string]bool{
		"https://shop.example/": true, "https://user@shop.example/": false, "https://user:pass@127.0.0.1/": false, "ftp://127.0.0.1/": false,
		"ftp://shop.example/": false, "https://shop.example/\t": false,
		"https://shop.example/" + strings.Repeat("a", gateway.MaxReturnURL-len("https://shop.example/")):   true,
		"https://shop.example/" + strings.Repeat("a", gateway.MaxReturnURL-len("https://shop.example/")+1): false,
	} {
		_, err := w.g.Create(t.Context(), gateway.CreateInput{Shop: "shop", OrderNo: "o", Amount: 1, Subject: "s", ReturnURL: url})
		if (err == nil) != ok {
			t.Errorf("A87 %.60q: %v", url, err)
		}
	}
}

// A flood of forgeries is a line now and then.
func TestForgeriesAreLoggedNowAndThen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	var lines bytes.Buffer
	c := w.config
	c.Log = slog.New(slog.NewJSONHandler(&lines, nil))
	w.g = gateway.New(c)
	forge := func() {
		for range 1000 {
			w.notice(w.qr, p.Attempts[0], "tx", func(n *note) { n.Sig = "forged" })
		}
	}
	forge()
	if n := strings.Count(lines.String(), "notice refused"); n != 1 {
		t.Fatalf("%d lines", n)
	}
	w.now.Add((10 * time.Second).Milliseconds())
	forge()
	if n := strings.Count(lines.String(), "notice refused"); n != 2 || !strings.Contains(lines.String(), `"refused_so_far":1001`) {
		t.Fatalf("%d lines: %s", n, lines.String())
	}
}
