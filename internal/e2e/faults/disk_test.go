package faults_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"piaohao/client"
	"piaohao/internal/e2e/totals"
)

// customers runs so many at once and returns what was wrong.
func (h *house) customers(ctx context.Context, name string, n int) {
	var all sync.WaitGroup
	for i := range n {
		p := &purchase{orderNo: fmt.Sprintf("%s-%03d", name, i), amount: 1000 + int64(i), refunded: 300, method: []string{"wechat", "alipay"}[i%2]}
		all.Go(func() {
			if err := h.run(ctx, p); err != nil {
				h.wrong(err)
			}
		})
	}
	all.Wait()
}

// placed makes an order whose code the payer has.
func (h *house) placed(ctx context.Context, orderNo string) client.Payment {
	p, err := h.place(ctx, &purchase{orderNo: orderNo, amount: 1000, method: "wechat"})
	if err != nil {
		h.wrong(err)
	}
	return p
}

// create asks once.
func (h *house) create(ctx context.Context, orderNo string) error {
	shop, err := h.shop()
	if err == nil {
		_, err = shop.CreatePayment(ctx, client.PaymentParams{OrderNo: orderNo, Amount: 1000, Subject: "龙井", Method: "wechat"})
	}
	return err
}

// refusesOrders reports, as an error, anything but a 503 that names the disk.
func (h *house) refusesOrders(ctx context.Context, orderNo string) error {
	err := h.create(ctx, orderNo)
	var refusal *client.Error
	if !errors.As(err, &refusal) || refusal.Status != http.StatusServiceUnavailable || !strings.Contains(err.Error(), "disk") {
		return fmt.Errorf("a create was answered %w, want 503 and what to do", err)
	}
	return nil
}

// stands holds what the gateway does while its disk takes nothing: it refuses orders, tells no platform success, and
// still shows what it has.
func (h *house) stands(ctx context.Context, paying, shown client.Payment) {
	if h.verdict() != nil {
		return
	}
	if _, err := h.town.pay(ctx, paying.Action.Code); err != nil {
		h.wrong(err)
	}
	if err := retry(ctx, "a notice that is refused", func() (bool, error) { return h.refusedNotices() > 0, nil }); err != nil {
		h.wrong(err)
	}
	if err := h.refusesOrders(ctx, "refused"); err != nil {
		h.wrong(err)
	}
	shop, err := h.shop()
	if err == nil {
		_, err = shop.GetPayment(ctx, shown.ID)
	}
	if err != nil {
		h.wrong(fmt.Errorf("reading a payment: %w", err))
	}
	page := strings.Replace(shown.CashierURL, h.front, "http://"+h.addr, 1)
	if status, _, err := h.town.call(ctx, http.MethodGet, page, nil, nil); err != nil || status != http.StatusOK {
		h.wrong(fmt.Errorf("the payer's page: %d %w", status, err))
	}
}

// failedFlush runs the program on a disk whose flush of the WAL fails once, until then and after, and starts it again.
func failedFlush(ctx context.Context, t *testing.T, w *town, nth int, settings ...string) (h *house, deeds []deed) {
	ctx, cancel := context.WithTimeout(ctx, traceWhile)
	defer cancel()
	h = newHouse(t, w, "")
	h.giveUp = cancel
	out := filepath.Join(t.TempDir(), "trace")
	h.under = underStrace(out, "-P", filepath.Join(h.dir, wal), "-e", fmt.Sprintf("inject=fsync,fdatasync:error=EIO:when=%d", nth))
	h.open(ctx, settings...)
	paying, shown := h.placed(ctx, "paying"), h.placed(ctx, "shown")
	const most = 400
	for i := range most {
		if h.create(ctx, fmt.Sprintf("more-%03d", i)) != nil {
			break
		}
	}
	if settings == nil { // one that makes a mistake need not
		h.stands(ctx, paying, shown)
		h.gate.Lock()
		h.process.kill()
		h.gate.Unlock()
		if err := h.hears(ctx, client.EventPaymentPaid, &purchase{orderNo: "paying"}); err != nil {
			h.wrong(err)
		}
	}
	h.close()
	file := must[*os.File](t)(os.Open(out))
	defer func() { _ = file.Close() }()
	return h, must[[]deed](t)(parse(file))
}

// wroteOn returns what was written after a flush failed, by the process whose flush it was.
func wroteOn(deeds []deed) (failures int, after []deed) {
	failed := 0
	for _, d := range deeds {
		if d.kind == "sync" && d.failed {
			failures++
			failed = max(failed, d.ended)
		}
		if failed > 0 && d.began > failed && d.file == wal {
			after = append(after, d)
		}
	}
	return failures, after
}

// TestI17FailedFlushStopsWriting lets a flush of the WAL fail with EIO: from then on the program writes nothing, answers
// creates with 503 and notices with failure, and still shows what it has; started again, it loses nothing that was
// acknowledged and comes to the end of what was paid meanwhile.
func TestI17FailedFlushStopsWriting(t *testing.T) {
	t.Parallel()
	w := newTown(t.Context(), t, hooked, fast)
	places := []int{40} // of one thread: the first start and two orders need up to 30
	if soak {
		places = []int{36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49}
	}
	starts := 0
	for _, nth := range places {
		h, deeds := failedFlush(t.Context(), t, w, nth)
		failures, after := wroteOn(deeds)
		if failures == 0 || len(after) > 0 {
			t.Errorf("flush %d: %d failed, and then it wrote %d times", nth, failures, len(after))
		}
		if err := h.verdict(); err != nil {
			t.Errorf("flush %d: %v\n%s", nth, err, h.process.tail())
		}
		starts += h.kills
	}
	_, deeds := failedFlush(t.Context(), t, w, 40, "FAULT_WRONG=retries")
	if failures, after := wroteOn(deeds); failures == 0 || len(after) == 0 {
		t.Errorf("a program that goes on after a failed flush was not seen: %d, %d", failures, len(after))
	}
	totals.Write(t, "flush", totals.Row{What: "failed flushes, each the last thing that was written", Found: len(places)},
		totals.Row{What: "starts after one, each with everything acknowledged there", Found: starts})
}

// TestI18NoRoomForSomeWrites lets writes of the WAL fail with ENOSPC now and then: what is refused is asked again, and
// everything comes to its end. In a large database a Change takes up to 30 writes, of which every 60th lets any through sooner
// or later.
func TestI18NoRoomForSomeWrites(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), traceWhile)
	defer cancel()
	h := newHouse(t, newTown(ctx, t, hooked, fast), "")
	h.giveUp = cancel
	n, every := 4, 25
	if soak {
		n, every = 100, 60
	}
	out := filepath.Join(t.TempDir(), "trace")
	h.under = underStrace(out, "-P", filepath.Join(h.dir, wal), "-e", fmt.Sprintf("inject=pwrite64:error=ENOSPC:when=250+%d", every))
	h.open(ctx)
	h.customers(ctx, "some", n)
	h.close()
	h.checkSettled()
	h.checkHeard()
	if err := h.verdict(); err != nil {
		t.Errorf("%v\n%s", err, h.process.tail())
	}
	file := must[*os.File](t)(os.Open(out))
	defer func() { _ = file.Close() }()
	failed := 0
	for _, d := range must[[]deed](t)(parse(file)) {
		if d.kind == "write" && d.failed {
			failed++
		}
	}
	if failed == 0 {
		t.Error("no write failed")
	}
	totals.Write(t, "writes", totals.Row{What: "customers", Found: n}, totals.Row{What: "writes that found no room", Found: failed})
}

// onSmallDisk runs a program with a disk of its own at dir, in a mount namespace, which root may make and, where the
// kernel lets them, everybody.
func onSmallDisk(dir string) []string {
	flag := "-m"
	if os.Getuid() != 0 {
		flag = "-rm"
	}
	return []string{"unshare", flag, "sh", "-c", `mount -t tmpfs -o size=3m none "$0" && exec "$@"`, dir}
}

// TestI18FullDisk fills the disk under the program: new orders are refused with 503, notices with failure, reading goes
// on; with room again it goes on by itself, and what was paid meanwhile comes to its end.
func TestI18FullDisk(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), traceWhile)
	defer cancel()
	h := newHouse(t, newTown(ctx, t, hooked, fast), "")
	h.giveUp = cancel
	disk := filepath.Join(h.dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	h.under = onSmallDisk(disk)
	h.data = func() string { return fmt.Sprintf("/proc/%d/root%s", h.process.cmd.Process.Pid, disk) }
	h.open(ctx, "DATA_DIR="+disk)
	paying, shown := h.placed(ctx, "paying"), h.placed(ctx, "shown")
	ballast := filepath.Join(h.data(), "ballast")
	fill(t, ballast)
	if err := retry(ctx, "a refused order", func() (bool, error) {
		err := h.create(ctx, "until-full")
		fill(t, ballast)
		return err != nil, nil
	}); err != nil {
		h.wrong(err)
	}
	h.stands(ctx, paying, shown)
	if err := os.Remove(ballast); err != nil {
		t.Error(err)
	}
	if err := retry(ctx, "an order with room again", func() (bool, error) { err := h.create(ctx, "room"); return err == nil, err }); err != nil {
		h.wrong(err)
	}
	if err := h.hears(ctx, client.EventPaymentPaid, &purchase{orderNo: "paying"}); err != nil {
		h.wrong(err)
	}
	db, err := h.left()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := broken(db, always); err != nil {
		t.Error(err)
	}
	h.close()
	if err := h.verdict(); err != nil {
		t.Errorf("%v\n%s", err, h.process.tail())
	}
}

// fill writes until nothing more fits.
func fill(t *testing.T, path string) {
	f := must[*os.File](t)(os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600))
	defer func() { _ = f.Close() }()
	block := make([]byte, 4096)
	for range 10_000 {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Error(err)
			}
			return
		}
	}
	t.Error("the disk does not fill up")
}
