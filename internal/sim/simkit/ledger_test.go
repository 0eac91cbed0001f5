package simkit

import (
	"context"
	"testing"
	"time"
)

func TestLedger(t *testing.T) {
	t.Parallel()
	k := newKit(t, "", newWall())

	now := k.Clock.Now()
	do := func(f func(tx *Tx) error) {
		t.Helper()
		if err := k.Books.Do(f); err != nil {
			t.Fatal(err)
		}
	}
	want := func(paid, refunded, withdrawn, balance int64) {
		t.Helper()
		l, err := k.Ledger("bank")
		if err != nil || l.Paid != paid || l.Refunded != refunded || l.Withdrawn != withdrawn || l.Balance != balance {
			t.Errorf("ledger %+v, %v, want %d %d %d %d", l, err, paid, refunded, withdrawn, balance)
		}
	}
	spend := func(fen int64, back time.Time) (enough bool) {
		t.Helper()
		do(func(tx *Tx) (err error) {
			enough, err = k.Spend(tx, "bank", fen, k.Clock.Now(), back)
			return err
		})
		return enough
	}
	if err := k.OpenLedger("bank", 100); err != nil {
		t.Fatal(err)
	}
	want(100, 0, 0, 100)
	if err := k.OpenLedger("bank", 7); err != nil { // the second time it is there
		t.Fatal(err)
	}
	do(func(tx *Tx) error { return k.Receive(tx, "bank", 50, now) })
	want(150, 0, 0, 150)
	if spend(151, time.Time{}) {
		t.Error("spent more than there is")
	}
	if !spend(100, time.Time{}) || !spend(50, now.Add(time.Minute)) || spend(1, time.Time{}) {
		t.Error("spending what there is")
	}
	want(150, 150, 0, 0)
	if err := k.Clock.Advance(time.Minute); err != nil {
		t.Fatal(err)
	}
	want(150, 100, 0, 50)
	if !spend(20, time.Time{}) {
		t.Error("what came back cannot be spent")
	}
	want(150, 120, 0, 30)
	if err := k.SetBalance("bank", 5); err != nil {
		t.Fatal(err)
	}
	want(150, 120, 25, 5)
	if err := k.SetBalance("bank", 1000); err != nil {
		t.Fatal(err)
	}
	want(150, 120, -970, 1000)
	for _, bad := range []int64{-1, maxBalance + 1} {
		if k.SetBalance("bank", bad) == nil {
			t.Errorf("a balance of %d", bad)
		}
	}
}

func TestRefundFate(t *testing.T) {
	t.Parallel()
	k := newKit(t, "", newWall())
	for _, row := range []struct {
		set  FaultSettings
		want RefundFate
	}{
		{FaultSettings{}, RefundFate{After: UsualRefund}},
		{FaultSettings{RefundMS: 1}, RefundFate{After: time.Millisecond}},
		{FaultSettings{RefundAbnormalPercent: 100, RefundClosedPercent: 100}, RefundFate{After: UsualRefund, Abnormal: true}},
		{FaultSettings{RefundClosedPercent: 100}, RefundFate{After: UsualRefund, Closed: true}},
	} {
		if err := k.Faults.Set(row.set); err != nil {
			t.Fatal(err)
		}
		if got := k.Faults.Refund(); got != row.want {
			t.Errorf("%+v: %+v", row.set, got)
		}
	}
	for _, bad := range []FaultSettings{{RefundMS: -1}, {RefundMS: maxDelayMS + 1}, {RefundAbnormalPercent: 101}, {RefundClosedPercent: -1}, {FailAfterPercent: 101}} {
		if k.Faults.Set(bad) == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

func TestANoticeOfTheFutureWaits(t *testing.T) {
	t.Parallel()
	k := newKit(t, "", newWall())
	due := k.Clock.Now().Add(time.Minute)
	if err := k.Books.Do(func(tx *Tx) error {
		return k.Notices.Add(tx, Notice{ID: "later", Platform: "nobody", Due: due})
	}); err != nil {
		t.Fatal(err)
	}
	next, err := k.Notices.Step(context.Background())
	if err != nil || !next.Equal(due) {
		t.Errorf("next %s, %v, want %s", next, err, due)
	}
	var n Notice
	if err := k.Books.Do(func(tx *Tx) error { _, err := tx.Get(noticeKind, "later", &n); return err }); err != nil || n.Tries != 0 || !n.Created.Equal(due) {
		t.Errorf("notice %+v, %v", n, err)
	}
}
