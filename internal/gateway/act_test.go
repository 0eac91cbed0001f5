package gateway_test

import (
	"strings"
	"testing"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// operate does an act as the user "uid 7".
func (w *world) operate(a gateway.Act) (gateway.Timeline, error) {
	w.t.Helper()
	return w.g.Operate(w.t.Context(), "uid 7", a)
}

// acted are the types of p's events that name the operator.
func (w *world) acted(p pay.Payment) string {
	w.t.Helper()
	events, err := w.db.Events(w.t.Context(), p.ID)
	w.must(err)
	var types []string
	for _, e := range events {
		if e.ActedBy == "uid 7" {
			types = append(types, string(e.Type))
		}
	}
	return strings.Join(types, " ")
}

func TestOperatorsRefund(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	w.qr.balance = 50
	got, err := w.operate(gateway.Act{Do: gateway.ActRefund, Number: "o", RefundNo: "op-1", Amount: 800})
	w.must(err)
	if len(got.Refunds) != 1 || got.Refunds[0].Amount != 800 || w.acted(p) != "refund.created" {
		t.Fatalf("%+v, acts %q", got.Refunds, w.acted(p))
	}
	id := got.Refunds[0].ID
	w.advance(0)
	if r := w.load(p.ID).Refunds[0]; r.Code != pay.RefundShort {
		t.Fatalf("%+v", r)
	}
	sent := w.sends(got.Refunds[0].OutRefundNo)
	_, err = w.operate(gateway.Act{Do: gateway.ActRetry, Number: id})
	w.must(err)
	w.advance(0)
	if w.sends(got.Refunds[0].OutRefundNo) != sent+1 {
		t.Error("it was not tried again")
	}
	got, err = w.operate(gateway.Act{Do: gateway.ActCancel, Number: id})
	w.must(err)
	if got.Refunds[0].Status != "failed" || got.Refunds[0].Code != pay.RefundCancelled || w.acted(p) != "refund.created refund.failed" {
		t.Fatalf("%+v, acts %q", got.Refunds, w.acted(p))
	}
	for _, do := range []string{gateway.ActRetry, gateway.ActCancel} {
		if _, err := w.operate(gateway.Act{Do: do, Number: id}); codeOf(err) != gateway.CodeInvalid {
			t.Errorf("%s of a refund that ended: %v", do, err)
		}
	}
	w.qr.balance = 0
	got, err = w.operate(gateway.Act{Do: gateway.ActRefund, Number: p.ID, RefundNo: "op-2"})
	w.must(err)
	if r := got.Refunds[1]; r.Amount != 12800 {
		t.Errorf("without an amount %d fen", r.Amount)
	}
	w.advance(time.Minute) // the platform's pause between two refunds
	if _, err := w.operate(gateway.Act{Do: gateway.ActCancel, Number: got.Refunds[1].ID}); codeOf(err) != gateway.CodeInvalid {
		t.Errorf("a refund that was sent is cancelled: %v", err)
	}
}

func TestOperatorsCloseAndSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.create("o", "scan")
	w.advance(time.Second)
	asked := len(w.qr.called())
	_, err := w.operate(gateway.Act{Do: gateway.ActSync, Number: p.Attempts[0].OutTradeNo})
	w.must(err)
	w.advance(0)
	if len(w.qr.called()) != asked+1 {
		t.Errorf("called %q", w.qr.called())
	}
	_, err = w.operate(gateway.Act{Do: gateway.ActClose, Number: "o"})
	w.must(err)
	w.advance(0)
	if p = w.load(p.ID); !p.IsClosed() || w.acted(p) != "payment.closing" {
		t.Errorf("%s, acts %q", p.Status, w.acted(p))
	}
}

func TestOperatorsAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.paid("o")
	for name, row := range map[string]struct {
		act  gateway.Act
		code gateway.Code
	}{
		"nobody's number":        {gateway.Act{Do: gateway.ActSync, Number: "x"}, gateway.CodeNotFound},
		"no number":              {gateway.Act{Do: gateway.ActSync}, gateway.CodeNotFound},
		"an unknown act":         {gateway.Act{Do: "burn", Number: "o"}, gateway.CodeInvalid},
		"a paid payment closed":  {gateway.Act{Do: gateway.ActClose, Number: "o"}, gateway.CodePaymentNotOpen},
		"a refund without no":    {gateway.Act{Do: gateway.ActRefund, Number: "o"}, gateway.CodeInvalid},
		"A103 a refund's reason": {gateway.Act{Do: gateway.ActRefund, Number: "o", RefundNo: "r", Reason: "a\x1b[2J"}, gateway.CodeInvalid},
		"A69 more than is there": {gateway.Act{Do: gateway.ActRefund, Number: "o", RefundNo: "r", Amount: 12801}, gateway.CodeRefundTooMuch},
		"a payment to retry":     {gateway.Act{Do: gateway.ActRetry, Number: "o"}, gateway.CodeInvalid},
	} {
		if _, err := w.operate(row.act); codeOf(err) != row.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.acted(p) != "" || len(w.load(p.ID).Refunds) != 0 {
		t.Error("something was done")
	}
}
