package wechatsim

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"piaohao/internal/sim/simkit"
)

// Find returns the order behind a code_url or an out_trade_no.
func (s *Sim) Find(code string) (simkit.Order, error) {
	return s.visit(code, "", nil)
}

// Scan binds a payable order to the first payer who scans it (Native下单).
func (s *Sim) Scan(code, payer string) (simkit.Order, error) {
	return s.visit(code, payer, nil)
}

// Refuse leaves the order as it is, bound to the payer who scanned it: the platform lets him come back.
func (s *Sim) Refuse(code, payer string) (simkit.Order, error) {
	shown, err := s.visit(code, payer, nil)
	if err == nil && shown.Blocked != "" {
		err = &simkit.Refusal{Reason: shown.Blocked}
	}
	return shown, err
}

// Pay pays the order in full and makes its notice due.
func (s *Sim) Pay(code, payer string) (simkit.Order, error) {
	noticeID, err := s.newUUID()
	if err != nil {
		return simkit.Order{}, err
	}
	serial, err := s.kit.Text(simkit.Digits, 16)
	if err != nil {
		return simkit.Order{}, err
	}
	return s.visit(code, payer, func(tx *simkit.Tx, o *order, now time.Time) error {
		// Form of the platform's numbers: 4200, six digits, the day, ten digits.
		o.TransactionID = "4200" + serial[:6] + now.In(beijing).Format("20060102") + serial[6:]
		var taken transaction
		if found, err := tx.Get(transactionKind, o.TransactionID, &taken); found || err != nil {
			return fmt.Errorf("wechatsim: transaction_id drawn twice: %w", err)
		}
		o.State, o.PaidAt = statePaid, now
		if err := tx.Put(transactionKind, o.TransactionID, transaction{OutTradeNo: o.OutTradeNo}); err != nil {
			return err
		}
		if err := s.kit.Receive(tx, platformName, o.Total, now); err != nil {
			return err
		}
		return s.notify(tx, noticeID, *o)
	})
}

// Orders returns all orders, oldest first.
func (s *Sim) Orders() ([]simkit.Order, error) {
	kept, err := simkit.List[order](s.kit.Books, orderKind)
	if err != nil {
		return nil, err
	}
	now := s.kit.Clock.Now()
	out := make([]simkit.Order, len(kept))
	for i, o := range kept {
		out[i] = s.shown(o, now)
	}
	return out, nil
}

// visit finds the order by what the payer holds. A payer binds it if it can be paid ("" only looks); change, if there is
// one, then happens to it, or the *Refusal says why it cannot.
func (s *Sim) visit(held, payer string, change func(*simkit.Tx, *order, time.Time) error) (shown simkit.Order, err error) {
	err = s.kit.Books.Do(func(tx *simkit.Tx) error {
		now := s.kit.Clock.Now()
		o, pr, err := find(tx, held)
		if err != nil {
			return err
		}
		shown = s.shown(o, now)
		switch {
		case shown.Blocked != "":
		case pr != "" && pr != o.Code:
			shown.Blocked = simkit.ReasonVoided
		case payer != "" && o.Payer != "" && o.Payer != payer:
			shown.Blocked = simkit.ReasonBound
		}
		if shown.Blocked != "" && change != nil {
			return &simkit.Refusal{Reason: shown.Blocked}
		}
		if shown.Blocked != "" || change == nil && (payer == "" || payer == o.Payer) {
			return nil
		}
		o.Payer = payer
		if change != nil {
			if err := change(tx, &o, now); err != nil {
				return err
			}
			shown = s.shown(o, now)
		}
		return tx.Put(orderKind, o.OutTradeNo, o)
	})
	return shown, err
}

// find returns the order and, when a code was given, what follows its pr=.
func find(tx *simkit.Tx, held string) (o order, pr string, err error) {
	number := held
	pr, isCode := strings.CutPrefix(held, codePath)
	if isCode {
		var c code
		if found, err := tx.Get(codeKind, pr, &c); err != nil {
			return o, pr, err
		} else if !found {
			return o, pr, simkit.ErrUnknown
		}
		number = c.OutTradeNo
	} else {
		pr = ""
	}
	found, err := tx.Get(orderKind, number, &o)
	if err == nil && !found {
		err = simkit.ErrUnknown
	}
	return o, pr, err
}

// shown is the order as wallet and checkers see it, whoever looks.
func (s *Sim) shown(o order, now time.Time) simkit.Order {
	state := o.state(now)
	out := simkit.Order{
		Platform: platformName, OutTradeNo: o.OutTradeNo, TransactionID: o.TransactionID, State: state, Amount: o.Total,
		Code: codePath + o.Code, Subject: o.Description, Payee: "模拟微信商户 " + s.credentials.MerchantID,
	}
	out.Refunded, out.Refunding = o.refunded(now)
	for _, r := range o.Refunds {
		out.Refunds = append(out.Refunds, r.shown(now))
	}
	switch {
	case o.isPaid():
		out.Blocked = simkit.ReasonPaid
	case state == stateClosed:
		out.Blocked = simkit.ReasonClosed
	case !now.Before(o.PayBy) || !now.Before(o.CodeUntil):
		out.Blocked = simkit.ReasonExpired
	}
	if out.Blocked != "" {
		out.Code = ""
	}
	return out
}

// openID is a payer's identity under the app id: 28 characters beginning with "o", the same each time.
func (s *Sim) openID(payer string) string {
	sum := sha256.Sum256([]byte(s.credentials.AppID + " " + payer))
	return "o" + base64.RawURLEncoding.EncodeToString(sum[:])[:27]
}
