package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"piaohao/internal/pay"
)

// notice is a refused or accepted notice at a second after start.
func (w *world) notice(number, outcome, code string, at int, refused bool) Exchange {
	t := start.Add(time.Duration(at) * time.Second)
	return Exchange{
		ID: w.id("exc"), Account: "acc", OutTradeNo: number, Direction: In, Op: "notice", Outcome: outcome, Code: code,
		FirstAt: t, LastAt: t, Times: 1, Refused: refused,
	}
}

func (w *world) record(all ...Exchange) {
	w.t.Helper()
	if n, err := w.RecordExchanges(w.t.Context(), all); err != nil || n != len(all) {
		w.t.Fatal(n, err)
	}
}

// lines writes exchanges as "op outcome/code ×times first–last".
func lines(all []Exchange) []string {
	var out []string
	for _, e := range all {
		out = append(out, fmt.Sprintf("%s %s %s/%s ×%d %d–%d %s", e.Direction, e.Op, e.Outcome, e.Code, e.Times,
			int(e.FirstAt.Sub(start).Seconds()), int(e.LastAt.Sub(start).Seconds()), e.RequestID))
	}
	return out
}

func TestExchangesAreCounted(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		p := w.stored(w.newPayment("o"))
		a := p.Attempts[0]
		call := func(outcome, code, request string, at int) Exchange {
			e := w.notice(a.OutTradeNo, outcome, code, at, false)
			e.AttemptID, e.Direction, e.Op, e.RequestID = a.ID, Out, "query", request
			return e
		}
		for _, e := range []Exchange{
			call("answered", "unpaid", "r1", 1), call("answered", "unpaid", "r2", 2), call("unknown", "timeout", "", 3),
			w.notice(a.OutTradeNo, "forged", "signature", 3, true), w.notice(a.OutTradeNo, "forged", "time", 4, true),
			w.notice(a.OutTradeNo, "forged", "signature", 5, true), call("answered", "unpaid", "", 6), call("answered", "unpaid", "", 5),
		} {
			w.record(e)
		}
		got, err := w.Exchanges(t.Context(), p.ID)
		must(t, err)
		want := []string{
			"out query answered/unpaid ×2 1–2 r2", "out query unknown/timeout ×1 3–3 ", "in notice forged/signature ×2 3–5 ",
			"in notice forged/time ×1 4–4 ", "out query answered/unpaid ×2 6–6 ",
		}
		if diff := cmp.Diff(want, lines(got)); diff != "" {
			t.Error(diff)
		}
		refused, err := w.Refused(t.Context(), 10)
		must(t, err)
		if diff := cmp.Diff([]string{"in notice forged/signature ×2 3–5 ", "in notice forged/time ×1 4–4 "}, lines(refused)); diff != "" {
			t.Error(diff)
		}
		if refused[0].AttemptID != a.ID {
			t.Error("a refused notice that names an attempt's number is told with that attempt")
		}
	})
}

// What an attempt's batch leaves behind is the same as what strangers' messages do, of which each is a question of its own.
func TestExchangesOfOneBatch(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		runs := 0
		rapid.Check(t, func(t *rapid.T) {
			runs++
			together, alone := fmt.Sprint("together", runs), fmt.Sprint("alone", runs)
			var all []Exchange
			for at := range rapid.IntRange(1, 8).Draw(t, "exchanges") {
				e := w.notice(
					rapid.SampledFrom([]string{"n1", "n2"}).Draw(t, "number"), rapid.SampledFrom([]string{"answered", "forged"}).Draw(t, "outcome"),
					rapid.SampledFrom([]string{"a", "b"}).Draw(t, "code"), at+rapid.IntRange(-2, 0).Draw(t, "late"), rapid.Bool().Draw(t, "refused"))
				e.RequestID = rapid.SampledFrom([]string{"", "r1", "r2"}).Draw(t, "request")
				all = append(all, e)
				e.Account, e.ID = alone, w.id("exc")
				w.record(e)
				all[len(all)-1].AttemptID = together
			}
			cut := rapid.IntRange(0, len(all)).Draw(t, "cut")
			w.record(all[:cut]...)
			w.record(all[cut:]...)
			of := func(where, whom string) []string {
				got, err := w.exchanges(context.Background(), selectExchanges+where+` ORDER BY id`, whom)
				must(w.t, err)
				return lines(got)
			}
			if diff := cmp.Diff(of("account = $1", alone), of("attempt_id = $1", together)); diff != "" {
				t.Error(diff)
			}
		})
	})
}

func TestExchangesAreBounded(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		p := w.stored(w.newPayment("o"))
		var own, strange []Exchange
		for i := range MaxExchanges + 50 {
			e := w.notice(p.Attempts[0].OutTradeNo, "answered", fmt.Sprint(i), i, false)
			e.AttemptID = p.Attempts[0].ID
			own = append(own, e)
		}
		for i := range MaxRefused + 50 {
			strange = append(strange, w.notice(fmt.Sprintf("x%d", i), "forged", "signature", i, true))
		}
		other := w.notice("y", "forged", "signature", 0, true)
		other.Account = "other"
		w.record(slices.Concat(own, []Exchange{other}, strange)...)
		got, err := w.Exchanges(t.Context(), p.ID)
		must(t, err)
		if len(got) != MaxExchanges || got[0].Code != "50" {
			t.Errorf("%d of an attempt are kept, from %s", len(got), got[0].Code)
		}
		got, err = w.RefusedBetween(t.Context(), "acc", start, start.Add(time.Hour), 5000)
		must(t, err)
		if len(got) != MaxRefused || got[0].OutTradeNo != fmt.Sprintf("x%d", MaxRefused+49) {
			t.Errorf("%d of an account are kept, up to %s", len(got), got[0].OutTradeNo)
		}
		got, err = w.RefusedBetween(t.Context(), "acc", start.Add(60*time.Second), start.Add(69*time.Second), 5000)
		must(t, err)
		if len(got) != 10 {
			t.Errorf("%d within ten seconds", len(got))
		}
		if got, err = w.RefusedBetween(t.Context(), "other", start, start, 10); err != nil || len(got) != 1 {
			t.Errorf("another account's ring: %d %v", len(got), err)
		}
	})
}

func TestPaymentsByAnyNumber(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		p := w.stored(w.newPayment("order-1"))
		must(t, w.Apply(t.Context(), w.paid(p, 0, "tx-1")))
		other := w.newPayment("order-1")
		must(t, w.UpsertShop(t.Context(), Shop{"other", "Other"}))
		other.Payment.Shop = "other"
		other.Payment.Status = "closed"
		q := w.stored(other)
		events, err := w.Events(t.Context(), p.ID)
		must(t, err)
		if len(events) != 3 || events[2].Type != pay.EventPaymentPaid {
			t.Errorf("%+v", events)
		}
		_, err = w.RecordIncident(t.Context(), pay.Incident{
			ID: "inc_1", Account: "acc", Digest: "d", Kind: "amount_mismatch", PaymentID: p.ID, AttemptID: p.Attempts[0].ID, At: start, Raw: []byte("raw"),
		})
		must(t, err)
		for number, want := range map[string][]string{
			p.ID: {p.ID}, p.Attempts[0].ID: {p.ID}, p.Attempts[0].OutTradeNo: {p.ID}, "tx-1": {p.ID}, events[0].ID: {p.ID},
			"inc_1": {p.ID}, "order-1": {q.ID, p.ID}, "nothing": nil, "": nil, p.Token: nil,
		} {
			got, err := w.PaymentIDs(t.Context(), number, 10)
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%q: %v %v, want %v", number, got, err, want)
			}
		}
		if got, err := w.PaymentIDs(t.Context(), "order-1", 1); err != nil || !slices.Equal(got, []string{q.ID}) {
			t.Errorf("limited: %v %v", got, err)
		}
	})
}

// Whoever looks a number up waits for no walk through all payments.
func TestLookUpWalksThroughNoTable(t *testing.T) {
	t.Parallel()
	w := newLite(t)
	explain := stmt{text: "EXPLAIN QUERY PLAN " + paymentsByNumber, args: []any{"x", 1}, row: func(scan scan) error {
		var id, parent, unused int64
		var detail string
		err := scan(&id, &parent, &unused, &detail)
		if strings.HasPrefix(detail, "SCAN") && detail != "SCAN f" && !strings.HasPrefix(detail, "SCAN s ") {
			t.Error(detail)
		}
		return err
	}}
	must(t, w.read(t.Context(), explain))
}

func TestIncidentsAreCounted(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		p := w.stored(w.newPayment("o"))
		a := p.Attempts[0]
		for i, kind := range []string{"amount_mismatch", "late_paid"} {
			_, err := w.RecordIncident(t.Context(), pay.Incident{
				ID: fmt.Sprintf("inc_%d", i), Account: "acc", Digest: kind, Kind: kind, PaymentID: p.ID, AttemptID: a.ID,
				At: start.Add(time.Duration(i) * time.Second), Detail: "d", Raw: []byte("raw"),
			})
			must(t, err)
		}
		e := w.notice(a.OutTradeNo, "quarantine", "amount_mismatch", 1, false)
		e.Times = 7
		w.record(e)
		got, err := w.Incidents(t.Context(), p.ID)
		must(t, err)
		newest, err := w.NewestIncidents(t.Context(), 1)
		must(t, err)
		if len(got) != 2 || got[0].Times != 7 || got[1].Times != 1 || got[0].Raw != nil || len(newest) != 1 || newest[0].ID != "inc_1" {
			t.Errorf("%+v\n%+v", got, newest)
		}
	})
}

func TestDeliveriesOfAPayment(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		must(t, w.UpsertEndpoint(ctx, Endpoint{ID: "whep_1", Shop: "shop", URL: "https://shop.example/hook"}))
		p := w.stored(w.newPayment("o"))
		must(t, w.Apply(ctx, w.paid(p, 0, "tx")))
		_, err := w.FanOut(ctx, 100)
		must(t, err)
		d, ok, err := w.ClaimDelivery(ctx, start, time.Minute)
		if err != nil || !ok {
			t.Fatal(ok, err)
		}
		must(t, w.FinishDelivery(ctx, d, false, start.Add(time.Minute), 503, "down"))
		for shop, want := range map[string]bool{"shop": true, "other": false} {
			if has, err := w.HasEndpoint(ctx, shop); err != nil || has != want {
				t.Errorf("%s has an endpoint: %v %v", shop, has, err)
			}
		}
		got, err := w.Deliveries(ctx, p.ID)
		must(t, err)
		want := []DeliveryState{{
			EventID: d.EventID, EndpointID: "whep_1", URL: "https://shop.example/hook", Type: pay.EventPaymentPaid,
			Due: start.Add(time.Minute), Tries: 1, Failures: 1, Status: 503, Excerpt: "down",
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestKeysAreNamedAndRevoked(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		ctx := t.Context()
		k := Key{ID: "key_1", Shop: "shop", Name: "till", Hint: "wxyz", Livemode: true, CreatedAt: start, CreatedBy: "uid 1000"}
		must(t, w.AddKey(ctx, k, [32]byte{1}))
		must(t, w.UpsertKey(ctx, "shop", [32]byte{0xab}, false))
		if err := w.AddKey(ctx, Key{ID: "key_1", Shop: "shop"}, [32]byte{2}); err == nil {
			t.Error("two keys of one id")
		}
		if _, _, err := w.ShopByKey(ctx, [32]byte{1}); err != nil {
			t.Error(err)
		}
		got, err := w.RevokeKey(ctx, "key_1", start.Add(time.Minute), "uid 0")
		k.RevokedAt, k.RevokedBy = start.Add(time.Minute), "uid 0"
		if diff := cmp.Diff(k, got); err != nil || diff != "" {
			t.Error(diff, err)
		}
		if _, _, err := w.ShopByKey(ctx, [32]byte{1}); err != ErrNotFound { //nolint:errorlint // exactly this one
			t.Errorf("a revoked key opens: %v", err)
		}
		if again, err := w.RevokeKey(ctx, "key_1", start.Add(time.Hour), "uid 7"); err != nil || again != k {
			t.Errorf("revoked twice: %+v %v", again, err)
		}
		if _, err := w.RevokeKey(ctx, "key_2", start, ""); err != ErrNotFound { //nolint:errorlint // exactly this one
			t.Error(err)
		}
		derived := "key_ab" + strings.Repeat("0", 24)
		_, err = w.RevokeKey(ctx, derived, start, "")
		must(t, err)
		must(t, w.UpsertKey(ctx, "shop", [32]byte{0xab}, false)) // the next start
		if _, _, err := w.ShopByKey(ctx, [32]byte{0xab}); err == nil {
			t.Error("a start brought a revoked key back")
		}
		keys, err := w.Keys(ctx)
		if err != nil || len(keys) != 2 || keys[1] != k && keys[0] != k {
			t.Errorf("%+v %v", keys, err)
		}
		shops, err := w.Shops(ctx)
		if err != nil || len(shops) != 1 || shops[0].ID != "shop" {
			t.Errorf("%+v %v", shops, err)
		}
	})
}

// What 00003 makes of the keys that an older version stored.
func TestOldKeysGetIDs(t *testing.T) {
	onEngines(t, func(t *testing.T, w *world) {
		must(t, w.exec(`INSERT INTO api_keys (hash, shop, livemode) VALUES ($1, 'shop', 0)`, make([]byte, 32)))
		for _, word := range []string{"lower(hex(hash))", "encode(hash, 'hex')"} {
			if (word[0] == 'l') == (w.Engine() == "sqlite") {
				must(t, w.exec(`UPDATE api_keys SET id = 'key_' || substr(`+word+`, 1, 26)`))
			}
		}
		must(t, w.UpsertKey(t.Context(), "shop", [32]byte{}, false))
		keys, err := w.Keys(t.Context())
		if err != nil || len(keys) != 1 || keys[0].ID != "key_"+strings.Repeat("0", 26) {
			t.Errorf("%+v %v", keys, err)
		}
	})
}
