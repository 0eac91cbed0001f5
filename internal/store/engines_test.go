package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"piaohao/internal/pay"
	"piaohao/internal/store/storetest"
)

// world is one empty database of one engine, with a clock that tests move.
type world struct {
	*DB
	t     *testing.T
	opts  Options
	clock *clock
	ids   *atomic.Int64
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}

var start = time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)

// engines are all databases; every behaviour is tested on each.
var engines = []struct {
	name string
	dsn  func(t testing.TB) string
}{
	{"sqlite", func(t testing.TB) string { return storetest.NewLite(t, migrated) }},
	{"postgres", newPostgresDatabase},
}

// onEngines runs test as subtest "sqlite" and "postgres".
func onEngines(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, e.dsn(t)))
		})
	}
}

func newWorld(t *testing.T, dsn string) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: start}, ids: new(atomic.Int64)}
	w.opts = Options{
		DSN: dsn, Mode: "test", Now: w.clock.Now, Log: slog.New(slog.DiscardHandler), AllowUnsafe: true,
	}
	w.DB = open(t, w.opts)
	must(t, w.UpsertShop(t.Context(), Shop{"shop", "Shop"}))
	w.account("acc", 1000)
	return w
}

func open(t testing.TB, o Options) *DB {
	t.Helper()
	db, err := Open(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { must(t, db.Close()) })
	return db
}

// node is a second node on the same database. Only one process may open SQLite, so there it is the same handle.
func (w *world) node() *DB {
	if w.Engine() == "sqlite" {
		return w.DB
	}
	return open(w.t, w.opts)
}

func (w *world) id(prefix string) string { return fmt.Sprintf("%s_%06d", prefix, w.ids.Add(1)) }

func (w *world) account(id string, rate int) {
	must(w.t, w.UpsertAccount(w.t.Context(), AccountRow{ID: id, Channel: "c", Method: "m", AppID: "app", MerchantID: "mch", RatePerSecond: rate}))
}

// exec runs a statement past all methods, as a mistaken program would.
func (w *world) exec(text string, args ...any) error {
	return w.write(context.Background(), stmt{text: text, args: args})
}

// count returns the number in the first column of a query.
func (w *world) count(query string, args ...any) int64 {
	w.t.Helper()
	var n int64
	must(w.t, w.found(context.Background(), query, args, (*number)(&n)))
	return n
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// newPayment is a create with one open attempt that is due in 3 s.
func (w *world) newPayment(order string) pay.Change { return w.newPaymentOf("shop", order) }

func (w *world) newPaymentOf(shop, order string) pay.Change {
	id := w.id("pay")
	p := pay.Payment{
		ID: id, Shop: shop, OrderNo: order, Amount: 100, Currency: pay.CNY, Subject: "茶", Status: "open",
		Token: "token-" + id, ReturnURL: "https://shop.example/", Metadata: `{"a":"b"}`,
		CreatedAt: w.clock.Now(), ExpiresAt: w.clock.Now().Add(15 * time.Minute),
	}
	c := pay.Change{New: true, Payment: p}
	w.addAttempt(&c, "acc", "native")
	w.addEvent(&c, pay.EventPaymentCreated)
	return c
}

func (w *world) addAttempt(c *pay.Change, account, product string) {
	n := w.ids.Add(1)
	now := w.clock.Now()
	a := pay.Attempt{
		ID: fmt.Sprintf("att_%06d", n), PaymentID: c.Payment.ID, OutTradeNo: fmt.Sprintf("o%08d", n),
		Method: "m", Product: product, Status: "open", Amount: c.Payment.Amount, Currency: pay.CNY,
		Account: account, Channel: "c", AppID: "app", MerchantID: "mch", Variant: "v", Subject: "茶",
		NotifyURL: "https://pay.example/payment/notify", ReturnURL: "https://pay.example/payment/success",
		ClientIP: "10.0.0.1", ExpiresAt: c.Payment.ExpiresAt, CreatedAt: now, Lazy: true,
		Shape:       pay.Shape{Kind: pay.ShapeQR, Text: "weixin://x", Until: now.Add(time.Minute)},
		HandedOutAt: now, Due: pay.Due{At: now.Add(3 * time.Second)},
	}
	c.Payment.Attempts = append(c.Payment.Attempts, a)
	c.Attempts = append(c.Attempts, pay.AttemptRow{Attempt: a, New: true})
}

func (w *world) addEvent(c *pay.Change, types ...pay.EventType) {
	for _, typ := range types {
		c.Payment.Seq++
		e := pay.Event{
			ID: w.id("evt"), PaymentID: c.Payment.ID, Seq: c.Payment.Seq, Type: typ, At: w.clock.Now(), Shop: c.Payment.Shop,
		}
		if typ.ForShops() {
			e.Body = []byte(`{"id":"` + e.ID + `"}`)
		}
		c.Events = append(c.Events, e)
	}
}

// paid is the Change by which attempt i settles p.
func (w *world) paid(p pay.Payment, i int, transaction string) pay.Change {
	p.Attempts = append([]pay.Attempt(nil), p.Attempts...)
	a := &p.Attempts[i]
	a.Status, a.TransactionID, a.PaidAt = "paid", transaction, w.clock.Now()
	p.Status, p.PaidAt, p.PaidAttempt = "paid", a.PaidAt, a.ID
	c := pay.Change{Payment: p, Attempts: []pay.AttemptRow{{Attempt: *a, Wake: &time.Time{}}}}
	w.addEvent(&c, pay.EventAttemptPaid, pay.EventPaymentPaid)
	return c
}

// newRefund is a pending one of attempt i, due now.
func (w *world) newRefund(p pay.Payment, i int, no string) pay.Refund {
	return pay.Refund{
		ID: w.id("rfd"), PaymentID: p.ID, Shop: p.Shop, AttemptID: p.Attempts[i].ID, Account: p.Attempts[i].Account, RefundNo: no,
		OutRefundNo: w.id("out"), Amount: 40, Status: "pending", Reason: "tea was cold", CreatedAt: w.clock.Now(),
		Due: pay.Due{At: w.clock.Now()},
	}
}

// stored applies c and loads the payment again.
func (w *world) stored(c pay.Change) pay.Payment {
	w.t.Helper()
	must(w.t, w.Apply(w.t.Context(), c))
	return w.loaded(c.Payment.ID)
}

func (w *world) loaded(id string) pay.Payment {
	w.t.Helper()
	p, err := w.Payment(w.t.Context(), id)
	must(w.t, err)
	return p
}
