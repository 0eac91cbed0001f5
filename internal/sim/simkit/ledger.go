package simkit

import (
	"fmt"
	"slices"
	"time"
)

const (
	ledgerKind = "ledger"
	maxBalance = 1 << 53 // fen that a person can set: what every reader of JSON holds exactly
	maxReturns = 1000    // refunds that are on their way back to the merchant at one moment
)

// Ledger is the merchant's account at one platform, in fen. Paid − Refunded − Withdrawn is its balance: whoever checks the
// books against orders and refunds finds money made or lost.
type Ledger struct {
	Paid      int64 `json:"paid"`      // by payers, of all time
	Refunded  int64 `json:"refunded"`  // taken for refunds, those under way included, those that were closed not
	Withdrawn int64 `json:"withdrawn"` // taken out by the merchant; negative = put in
	Balance   int64 `json:"balance"`

	// Returns are refunds that will be closed: their money comes back then, without anybody calling.
	Returns []moneyBack `json:"returns,omitempty"`
}

type moneyBack struct {
	At     time.Time `json:"at"` // business time
	Amount int64     `json:"amount"`
}

// at is the ledger with what has come back by then.
func (l Ledger) at(now time.Time) Ledger {
	l.Returns = slices.DeleteFunc(slices.Clone(l.Returns), func(m moneyBack) bool {
		due := !m.At.After(now)
		if due {
			l.Refunded -= m.Amount
		}
		return due
	})
	l.Balance = l.Paid - l.Refunded - l.Withdrawn
	return l
}

// OpenLedger makes the ledger of books that have none yet; paid is what payers have paid in them, in fen.
func (k *Kit) OpenLedger(platform string, paid int64) error {
	return k.Books.Do(func(tx *Tx) error {
		var l Ledger
		if found, err := tx.Get(ledgerKind, platform, &l); found || err != nil {
			return err
		}
		return tx.Put(ledgerKind, platform, Ledger{Paid: paid, Balance: paid})
	})
}

// Ledger returns the merchant's account as it is now.
func (k *Kit) Ledger(platform string) (l Ledger, err error) {
	now := k.Clock.Now()
	err = k.Books.Do(func(tx *Tx) error {
		l, err = ledgerAt(tx, platform, now)
		return err
	})
	return l, err
}

func ledgerAt(tx *Tx, platform string, now time.Time) (l Ledger, err error) {
	_, err = tx.Get(ledgerKind, platform, &l)
	return l.at(now), err
}

// Receive books a payment.
func (k *Kit) Receive(tx *Tx, platform string, fen int64, now time.Time) error {
	l, err := ledgerAt(tx, platform, now)
	if err != nil {
		return err
	}
	l.Paid += fen
	return tx.Put(ledgerKind, platform, l.at(now))
}

// Spend takes a refund's money, or tells that the balance is short. back is when it returns because the refund will be
// closed; zero = never.
func (k *Kit) Spend(tx *Tx, platform string, fen int64, now, back time.Time) (enough bool, err error) {
	l, err := ledgerAt(tx, platform, now)
	if err != nil || l.Balance < fen {
		return false, err
	}
	l.Refunded += fen
	if !back.IsZero() {
		if len(l.Returns) >= maxReturns {
			return false, fmt.Errorf("simkit: %d refunds are on their way back, which is the most there can be", maxReturns)
		}
		l.Returns = append(l.Returns, moneyBack{At: back, Amount: fen})
	}
	return true, tx.Put(ledgerKind, platform, l.at(now))
}

// SetBalance lets the merchant take out or put in what makes the balance this, at least 0.
func (k *Kit) SetBalance(platform string, fen int64) error {
	if fen < 0 || fen > maxBalance {
		return fmt.Errorf("balance_fen must be a whole number between 0 and %d", int64(maxBalance))
	}
	now := k.Clock.Now()
	return k.Books.Do(func(tx *Tx) error {
		l, err := ledgerAt(tx, platform, now)
		if err != nil {
			return err
		}
		l.Withdrawn = l.Paid - l.Refunded - fen
		return tx.Put(ledgerKind, platform, l.at(now))
	})
}
