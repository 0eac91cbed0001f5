package webhook_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"piaohao/internal/pay"
	"piaohao/internal/secret"
	"piaohao/internal/store"
)

// Over the real store: an event that its shop cannot digest is tried ten times and given up; the events behind it
// arrive, each once. While the endpoint is failing it has one slot, so they come one after the other.
func TestSenderOverTheStore(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(w http.ResponseWriter, r *http.Request, _ string) {
		if r.Header.Get("Webhook-Id") == "evt_0" {
			w.WriteHeader(500)
		}
	})
	db, err := store.Open(t.Context(), store.Options{
		DSN: "sqlite:" + filepath.Join(t.TempDir(), "test.db"), Mode: "test", Now: b.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	b.DB = db
	if err := db.UpsertShop(t.Context(), store.Shop{ID: "default", Name: "Shop"}); err != nil {
		t.Fatal(err)
	}
	if err := db.UpsertEndpoint(t.Context(), store.Endpoint{ID: "whep_1", Shop: "default", URL: b.url, Secret: secret.New(goodSecret)}); err != nil {
		t.Fatal(err)
	}
	const events = 5
	for i := range events {
		p := pay.Payment{
			ID: fmt.Sprintf("pay_%d", i), Shop: "default", OrderNo: fmt.Sprint(i), Amount: 1, Currency: pay.CNY, Subject: "tea", Status: pay.PaymentOpen,
			Token: fmt.Sprint("token", i), Metadata: "{}", CreatedAt: b.now, ExpiresAt: b.now.Add(time.Hour), Seq: 1,
		}
		c := pay.Change{New: true, Payment: p, Events: []pay.Event{{
			ID: fmt.Sprintf("evt_%d", i), PaymentID: p.ID, Seq: 1, Type: pay.EventPaymentClosed, At: b.now, Shop: "default",
			Body: fmt.Appendf(nil, `{"id":"evt_%d","type":"payment.closed"}`, i),
		}}}
		if err := db.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := db.FanOut(t.Context(), 100); err != nil || n != events {
		t.Fatalf("%d deliveries, %v", n, err)
	}
	start := b.now
	b.run(t, 100)
	tries := map[string]int{}
	for _, s := range b.shop.sent() {
		tries[s.header.Get("Webhook-Id")]++
		verify(t, s)
	}
	for i := range events {
		if want := map[bool]int{true: 10, false: 1}[i == 0]; tries[fmt.Sprintf("evt_%d", i)] != want {
			t.Errorf("event %d was sent %d times, want %d", i, tries[fmt.Sprintf("evt_%d", i)], want)
		}
	}
	if took := b.now.Sub(start); took < 75*time.Hour {
		t.Errorf("given up after %v", took)
	}
}
