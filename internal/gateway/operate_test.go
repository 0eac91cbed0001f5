package gateway_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
	"piaohao/internal/store"
)

// looked is the one timeline of a number.
func (w *world) looked(number string) gateway.Timeline {
	w.t.Helper()
	all, err := w.g.Timelines(w.t.Context(), number)
	w.must(err)
	if len(all) != 1 {
		w.t.Fatalf("%d payments", len(all))
	}
	return all[0]
}

// said is a timeline without times and ids, one text per line.
func said(t gateway.Timeline) []string {
	var out []string
	for _, l := range t.Lines {
		detail := l.Detail
		if l.Kind == gateway.LineEvent {
			detail = ""
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s ×%d %s", l.Kind, l.What, l.Times, detail)))
	}
	return out
}

func (w *world) endpoint() {
	w.must(w.db.UpsertEndpoint(w.t.Context(), store.Endpoint{
		ID: "whep_1", Shop: "shop", URL: "https://user-canary@shop.example/hook-canary?key=query-canary", Secret: secret.New("whsec_canary"),
	}))
}

// deliver tries the one due delivery once.
func (w *world) deliver(ok bool, next time.Duration, status int, excerpt string) {
	w.t.Helper()
	d, found, err := w.db.ClaimDelivery(w.t.Context(), w.clock(), time.Minute)
	if err != nil || !found {
		w.t.Fatal(found, err)
	}
	at := time.Time{}
	if next > 0 {
		at = w.clock().Add(next)
	}
	w.must(w.db.FinishDelivery(w.t.Context(), d, ok, at, status, excerpt))
}

// "Paid, but not updated": whether a notice came, what was wrong with it, when the query is due, whether the shop answered.
func TestTimelineOfAPaidPayment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint()
	p := w.create("o1", "scan")
	a := p.Attempts[0]
	w.now.Add(10)
	w.notice(w.qr, a, "tx1", func(n *note) { n.Amount-- })
	w.notice(w.qr, a, "tx1", func(n *note) { n.Amount-- })

	got := w.looked("o1")
	if f := got.Attempts[0]; f.Notice == nil || f.Notice.Outcome != "quarantine" || f.Notice.Code != pay.IncidentAmount || f.Notice.Times != 2 ||
		f.NextAct != "query" || f.NextAt == "" || got.Payment.PaidAt != "" || !got.Payment.Endpoint {
		t.Fatalf("%+v %+v", got.Payment, f)
	}

	w.now.Add(10)
	w.notice(w.qr, a, "tx1", nil)
	w.must(w.tail())
	w.now.Add(10)
	w.deliver(false, time.Minute, 500, "answer-canary")
	got = w.looked("tx1")
	want := []string{
		"event payment.created ×1", "event attempt.created ×1", "event attempt.opened ×1", "event attempt.handed_out ×1",
		"sent open ×1 answered qr",
		"received notice ×2 quarantine amount_mismatch",
		"incident amount_mismatch ×2 " + got.Lines[6].Detail,
		"event attempt.paid ×1", "event payment.paid ×1", "received notice ×1 applied paid",
		"due webhook payment.paid ×1 " + got.Webhooks[0].EventID + " → https://shop.example, last: HTTP 500",
	}
	if !slices.Equal(said(got), want) {
		t.Errorf("%s\nwant\n%s", strings.Join(said(got), "\n"), strings.Join(want, "\n"))
	}
	if d := got.Webhooks[0]; d.Error != "HTTP 500" || d.NextAt == "" || d.Tries != 1 || d.DeliveredAt != "" {
		t.Errorf("%+v", d)
	}
	if f := got.Attempts[0]; f.Notice.Outcome != "applied" || f.PaidAt == "" || f.TransactionID != "tx1" || f.NextAt != "" {
		t.Errorf("%+v", f)
	}

	w.now.Add(60_000)
	w.deliver(false, 0, 0, "not sent: no address")
	if d := w.looked(p.ID).Webhooks[0]; d.Error != "not sent: no address" || d.NextAt != "" || d.Tries != 2 {
		t.Errorf("given up: %+v", d)
	}
}

// A platform that does not answer, and a forged notice that may have been this attempt's.
func TestTimelineOfSilence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	w.notice(w.qr, p.Attempts[0], "tx1", func(n *note) { n.Sig = "another key's" })
	w.qr.script(func(string, string) error {
		return &channel.Error{Kind: channel.Unknown, Op: "query", Code: "timeout", RequestID: "req-1"}
	}, nil)
	w.advance(time.Minute)
	got := w.looked(p.Attempts[0].OutTradeNo)
	f := got.Attempts[0]
	if f.Notice != nil || len(f.Nearby) != 1 || f.Nearby[0].Outcome != "forged" || f.Nearby[0].Code != "signature" {
		t.Errorf("%+v", f)
	}
	if f.Call == nil || f.Call.Op != "query" || f.Call.Outcome != "unknown" || f.Call.Code != "timeout" || f.Failures != 1 {
		t.Errorf("%+v", f.Call)
	}
	lines := said(got)
	if !slices.Contains(lines, "sent query ×1 unknown timeout request req-1") || !slices.Contains(lines, "due query ×1") ||
		lines[len(lines)-1] != "due expire ×1" || got.Payment.Endpoint {
		t.Errorf("%q", lines)
	}
}

func TestTimelinesByAnyNumber(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("same", "scan")
	_, err := w.g.Create(t.Context(), gateway.CreateInput{Shop: "other", OrderNo: "same", Amount: 5, Subject: "s"})
	w.must(err)
	all, err := w.g.Timelines(t.Context(), "same")
	w.must(err)
	if len(all) != 2 || all[0].Payment.Shop != "other" || all[1].Payment.Shop != "shop" {
		t.Errorf("an order number of two shops: %+v", all)
	}
	for _, number := range []string{p.ID, p.Attempts[0].ID, p.Attempts[0].OutTradeNo} {
		if got := w.looked(number); got.Payment.ID != p.ID {
			t.Errorf("%s: %+v", number, got.Payment)
		}
	}
	for _, number := range []string{"", "nobody", p.Token, "A95 ' OR 1=1 --", strings.Repeat("a", 65)} {
		if _, err := w.g.Timelines(t.Context(), number); code(err) != gateway.CodeNotFound {
			t.Errorf("%q: %v", number, err)
		}
	}
}

// TestA100NothingSecretIsLookedUp: whatever is stored of a payment, messages, tokens, codes that can be paid, the shop's
// metadata and addresses stay where they are.
func TestA100NothingSecretIsLookedUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.endpoint()
	r, err := w.g.Create(t.Context(), gateway.CreateInput{
		Shop: "shop", OrderNo: "o1", Amount: 12800, Subject: "s", Method: "scan", ReturnURL: "https://shop.example/?return-canary",
		Metadata: map[string]string{"k": "metadata-canary"}, ClientIP: "203.0.113.77",
	})
	w.must(err)
	p := w.load(r.View.ID)
	for _, edit := range []func(*note){
		func(n *note) { n.Sig = "sig-canary" },
		func(n *note) { n.Amount-- },
		func(n *note) { n.No = "sk_live_" + "canary/with slash" },
		nil,
	} {
		w.notice(w.qr, p.Attempts[0], "tx1", edit)
	}
	w.must(w.tail())
	w.deliver(false, time.Minute, 500, "answer-canary")
	key, err := w.g.CreateKey(t.Context(), "uid 1", "shop", "till")
	w.must(err)
	trouble, err := w.g.Incidents(t.Context(), 100)
	w.must(err)
	keys, err := w.g.Keys(t.Context())
	w.must(err)
	text, err := json.Marshal([]any{w.looked(p.ID), trouble, keys})
	w.must(err)
	for _, canary := range []string{"canary", p.Token, "code://", "203.0.113.77", key.Secret, key.Secret[:20], "whsec_"} {
		if strings.Contains(string(text), canary) {
			t.Errorf("%s in %s", canary, text)
		}
	}
	if len(trouble) != 3 {
		t.Errorf("%+v", trouble)
	}
}

func TestIncidentsNewestFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o1", "scan")
	for i, edit := range []func(*note){
		func(n *note) { n.Sig = "bad" }, func(n *note) { n.Amount-- }, func(n *note) { n.Amount-- }, func(n *note) { n.No = "nobody" },
	} {
		w.now.Add(int64(i) + 1)
		w.notice(w.qr, p.Attempts[0], "tx", edit)
	}
	got, err := w.g.Incidents(t.Context(), 100)
	w.must(err)
	var lines []string
	for _, t := range got {
		lines = append(lines, fmt.Sprintf("%s %s %s %s %q ×%d", t.Account, t.What, t.Outcome, t.Code, t.OutTradeNo, t.Times))
	}
	want := []string{
		`scan-1 notice unknown_order paid "nobody" ×1`, `scan-1 incident quarantine amount_mismatch "" ×2`, `scan-1 notice forged signature "" ×1`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
	for limit, n := range map[int]int{1: 1, 2: 2, 0: 1, -5: 1, 1 << 30: 3} {
		if got, err := w.g.Incidents(t.Context(), limit); err != nil || len(got) != n {
			t.Errorf("limit %d: %d %v", limit, len(got), err)
		}
	}
}

func TestKeysOpenUntilRevoked(t *testing.T) {
	t.Parallel()
	for _, live := range []bool{false, true} {
		w := newWorld(t)
		w.config.Livemode = live
		w.g = gateway.New(w.config)
		ctx := t.Context()
		k, err := w.g.CreateKey(ctx, "uid 1000", "shop", "till")
		w.must(err)
		form := map[bool]string{false: `^sk_test_[0-9a-z]{64}$`, true: `^sk_live_[0-9a-z]{64}$`}[live] // 5 bits a letter
		if !regexp.MustCompile(form).MatchString(k.Secret) || !strings.HasSuffix(k.Secret, k.Hint) || len(k.Hint) != 4 ||
			k.CreatedBy != "uid 1000" || k.Livemode != live {
			t.Errorf("%+v", k)
		}
		other, err := w.g.CreateKey(ctx, "uid 1000", "shop", "")
		w.must(err)
		if other.Secret == k.Secret || other.ID == k.ID {
			t.Error("the same key twice")
		}
		if shop, err := w.g.Authenticate(ctx, k.Secret); err != nil || shop != "shop" {
			t.Error(shop, err)
		}
		if got, err := w.g.RevokeKey(ctx, "uid 0", k.ID); err != nil || got.RevokedBy != "uid 0" || got.RevokedAt == "" {
			t.Errorf("%+v %v", got, err)
		}
		if _, err := w.g.Authenticate(ctx, k.Secret); code(err) != gateway.CodeUnauthorized {
			t.Errorf("a revoked key opens: %v", err)
		}
		if _, err := w.g.Authenticate(ctx, other.Secret); err != nil {
			t.Error("revoking one key revoked another")
		}
	}
}

func TestKeysOfNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.g.CreateKey(t.Context(), "uid 1", "nobody", "")
	if code(err) != gateway.CodeInvalid || !strings.Contains(err.Error(), "other, shop") {
		t.Errorf("the shops are named: %v", err)
	}
	for _, name := range []string{strings.Repeat("长", 65), "A103 two\nlines", "\x1b[31m", "\xff"} {
		if _, err := w.g.CreateKey(t.Context(), "uid 1", "shop", name); code(err) != gateway.CodeInvalid {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := w.g.RevokeKey(t.Context(), "uid 1", "key_nobody"); code(err) != gateway.CodeNotFound {
		t.Error(err)
	}
	if keys, err := w.g.Keys(t.Context()); err != nil || len(keys) != 0 {
		t.Errorf("%+v %v", keys, err)
	}
}
