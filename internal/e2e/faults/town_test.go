package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"piaohao/internal/freeport"
)

// town is what the installations of one test share: the simulator of both platforms, a process of its own that nobody
// kills, and a clock.
type town struct {
	t     *testing.T
	bin   string
	epoch time.Time
	speed int64
	sim   *process
	url   string // the simulator's
	http  *http.Client
	// sealing is the key under which WeChat's notices are sealed.
	sealing string
}

// newTown starts the simulator of a program; one with hooks has a clock that runs speed times as fast.
func newTown(ctx context.Context, t *testing.T, program func() (string, error), speed int64) *town {
	t.Helper()
	w := &town{t: t, bin: must[string](t)(program()), epoch: time.Unix(time.Now().Unix(), 0), speed: speed}
	w.http = &http.Client{
		Timeout: callWithin, Transport: &http.Transport{MaxIdleConnsPerHost: 16},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.Cleanup(w.http.CloseIdleConnections)
	home, addr := t.TempDir(), freeport.Addr(t)
	w.url = "http://" + addr
	w.sim = startProcess(t, filepath.Join(home, "sim.log"), w.env("SIM_ADDR="+addr, "SIM_PUBLIC_URL="+w.url, "DATA_DIR="+home, "LOG_DIR=off", "DEMO_ADDR=off"), w.bin, "sim")
	if up := must[bool](t)(w.sim.answers(ctx, w.http, w.url+"/sim/faults")); !up {
		t.Fatalf("the simulator ended: %v\n%s", w.sim.err, w.sim.tail())
	}
	var merchant struct {
		WeChat struct {
			APIv3Key string `json:"api_v3_key"`
		}
	}
	if _, _, err := w.call(ctx, http.MethodGet, w.url+"/sim/credentials", nil, &merchant); err != nil {
		t.Fatal(err)
	}
	w.sealing = merchant.WeChat.APIv3Key
	return w
}

const callWithin = 20 * time.Second // of one HTTP call, on a busy machine

func (w *town) env(more ...string) []string {
	return append([]string{"FAULT_EPOCH=" + strconv.FormatInt(w.epoch.Unix(), 10), "FAULT_SPEED=" + strconv.FormatInt(w.speed, 10)}, more...)
}

func (w *town) now() time.Time { return w.epoch.Add(time.Since(w.epoch) * time.Duration(w.speed)) }

// call is one request with JSON or nothing in it; the answer's body is read into out unless that is nil.
func (w *town) call(ctx context.Context, method, url string, in, out any) (status int, header http.Header, err error) {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return 0, nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return 0, nil, err
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && out != nil {
		err = json.Unmarshal(text, out)
	}
	return resp.StatusCode, resp.Header, err
}

// order is a paid one in the platforms' books.
type order struct {
	OutTradeNo    string `json:"out_trade_no"`
	TransactionID string `json:"transaction_id"`
	State         string `json:"state"`
	Amount        int64  `json:"amount"`
	Refunded      int64  `json:"refunded"`
}

// books are the platforms' orders that have a transaction, by our number.
func (w *town) books(ctx context.Context) map[string]order {
	w.t.Helper()
	var all struct{ Orders []order }
	if status, _, err := w.call(ctx, http.MethodGet, w.url+"/sim/books", nil, &all); err != nil || status != http.StatusOK {
		w.t.Fatalf("books: %d %v", status, err)
	}
	out := map[string]order{}
	for _, o := range all.Orders {
		if o.TransactionID != "" && o.State != "WAIT_BUYER_PAY" {
			out[o.OutTradeNo] = o
		}
	}
	return out
}

// pay lets the payer's wallet pay for a code, and returns what it was told.
func (w *town) pay(ctx context.Context, code string) (o order, err error) {
	var told struct {
		OutTradeNo    string `json:"out_trade_no"`
		TransactionID string `json:"transaction_id"`
		TradeNo       string `json:"trade_no"`
	}
	status, _, err := w.call(ctx, http.MethodPost, w.url+"/sim/wallet/pay", map[string]any{"code": code}, &told)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the wallet answers %d", status)
	}
	return order{OutTradeNo: told.OutTradeNo, TransactionID: told.TransactionID + told.TradeNo}, err
}
