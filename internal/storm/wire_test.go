package storm

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	seeded "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/channel/alipay"
	"piaohao/internal/channel/wechatv3"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
	sims "piaohao/internal/sim/all"
	"piaohao/internal/sim/simkit"
	"piaohao/internal/sim/wechatsim"
)

const simURL = "http://sim.test"

// keys are shared by all runs: making them costs more than a whole run.
var keys = sync.OnceValues(func() (map[string]*rsa.PrivateKey, error) {
	out := map[string]*rsa.PrivateKey{}
	for _, name := range []string{wechatsim.MerchantKey, wechatsim.PlatformKey, wechatsim.CAKey, "alipay_app", "alipay_platform"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		out[name] = key
	}
	return out, nil
})

// wire is the real simulator behind in-process HTTP, met by the real channels.
type wire struct {
	s      *storm
	sim    *sims.Sim
	random io.Reader
	next   time.Time // of the simulator's next notice
}

func newWire(s *storm) (*wire, error) {
	shared, err := keys()
	if err != nil {
		return nil, err
	}
	var source [32]byte
	binary.BigEndian.PutUint64(source[:], s.seed)
	w := &wire{s: s, random: seeded.NewChaCha8(source)}
	w.sim, err = sims.New(sims.Options{
		PublicURL: simURL, Wall: s.now, HTTP: &http.Client{Transport: noticeDoor{s}}, Random: w.random, Seed: s.seed,
		Keys: shared, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	f := s.weather
	return w, w.control("POST", "/sim/faults", simkit.FaultSettings{
		DropPercent: int(f.dropped), DoublePercent: int(f.doubled), DelayMSMax: min(f.delay, 24*time.Hour).Milliseconds(),
		LostAnswerPercent: int(f.lost), FailBeforePercent: int(f.fails), RateLimitedPercent: int(f.limited),
		ProbeNoticePercent: int(f.forged), ProbeAnswerPercent: int(f.forged),
	}, nil)
}

// console returns an order's money at the platform that has it.
func (w *wire) console(no string) {
	for _, platform := range []string{"wechat", "alipay"} {
		err := w.control("POST", "/sim/"+platform+"/refund", map[string]any{"code": no, "amount": 1 + w.s.rand.IntN(50)}, nil)
		w.s.note("console", platform, no, said(err))
	}
}

func (w *wire) calm() {
	if err := w.control("POST", "/sim/faults", simkit.FaultSettings{}, nil); err != nil {
		w.s.breaks("I-19", "simulator: %v", err)
	}
}

// errRefused is the simulator's no.
var errRefused = errors.New("refused")

// control is a request under /sim/ by somebody outside of the storm's calls.
func (w *wire) control(method, path string, ask, answer any) error {
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	rec := httptest.NewRecorder()
	w.sim.Handler().ServeHTTP(rec, httptest.NewRequest(method, path, strings.NewReader(string(body))))
	if rec.Code != http.StatusOK {
		var no struct{ Reason string }
		_ = json.Unmarshal(rec.Body.Bytes(), &no)
		return fmt.Errorf("%w: %s", errRefused, no.Reason)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(rec.Body.Bytes(), answer)
}

func (w *wire) accounts(*node) []gateway.Account {
	c := w.sim.Credentials()
	client := &http.Client{Transport: platformDoor{w.s, w.sim.Handler()}}
	var out []gateway.Account
	for _, x := range []struct {
		account channel.Account
		driver  channel.Driver
		config  channel.Settings
	}{
		{
			channel.Account{ID: "wechat-1", AppID: c.WeChat.AppID, MerchantID: c.WeChat.MerchantID},
			wechatv3.Driver,
			&wechatv3.Config{
				AppID: c.WeChat.AppID, MerchantID: c.WeChat.MerchantID, SerialNo: c.WeChat.SerialNo,
				PrivateKey: secret.New(c.WeChat.PrivateKey), APIv3Key: secret.New(c.WeChat.APIv3Key),
				PublicKeyID: c.WeChat.PublicKeyID, PublicKey: c.WeChat.PublicKey,
			},
		},
		{
			channel.Account{ID: "alipay-1", AppID: c.Alipay.AppID, MerchantID: c.Alipay.SellerID},
			alipay.Driver,
			&alipay.Config{
				AppID: c.Alipay.AppID, SellerID: c.Alipay.SellerID, PrivateKey: secret.New(c.Alipay.AppPrivateKey),
				PublicKey: c.Alipay.AlipayPublicKey,
			},
		},
	} {
		ch, err := x.driver.New(x.config, channel.Env{
			Account: x.account, Sim: simURL, HTTP: client, Now: w.s.now, Random: w.random, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			w.s.breaks("I-19", "account %s: %v", x.account.ID, err)
		}
		out = append(out, gateway.Account{Account: x.account, Info: x.driver.Info, Channel: ch})
	}
	return out
}

func (w *wire) pay(code string) string {
	if err := w.control("POST", "/sim/wallet/pay", map[string]string{"code": code}, nil); err != nil {
		return err.Error()
	}
	return "paid"
}

func (w *wire) given(string) {}

func (w *wire) books() []*entry {
	var answer struct{ Orders []simkit.Order }
	if err := w.control("GET", "/sim/books", nil, &answer); err != nil {
		w.s.breaks("I-19", "simulator: %v", err)
	}
	states := map[string]pay.State{
		"SUCCESS": pay.Paid, "TRADE_SUCCESS": pay.Paid, "CLOSED": pay.Closed, "TRADE_CLOSED": pay.Closed,
		"NOTPAY": pay.Unpaid, "WAIT_BUYER_PAY": pay.Unpaid, "REFUND": pay.Paid,
	}
	ends := map[string]pay.RefundStatus{
		"SUCCESS": pay.RefundSucceeded, "REFUND_SUCCESS": pay.RefundSucceeded, "PROCESSING": pay.RefundProcessing,
		"CLOSED": pay.RefundFailed, "ABNORMAL": pay.RefundAbnormal,
	}
	out := make([]*entry, len(answer.Orders))
	for i, o := range answer.Orders {
		out[i] = &entry{No: o.OutTradeNo, State: states[o.State], Amount: pay.Fen(o.Amount)}
		if len(o.Refunds) > 0 {
			out[i].State = pay.Paid // one platform closes an order whose money went back
		}
		if out[i].State == pay.Paid {
			out[i].Tx = o.TransactionID
		}
		for _, r := range o.Refunds {
			out[i].refunds = append(out[i].refunds, &returned{
				No: r.Number, Amount: pay.Fen(r.Amount), Status: ends[r.State], At: w.s.now().Add(time.Hour), console: r.By == simkit.ByConsole,
			})
		}
	}
	return out
}

func (w *wire) due() time.Time {
	select {
	case <-w.sim.Woken():
		w.next = w.s.now()
	default:
	}
	return w.next
}

func (w *wire) send() {
	next, err := w.sim.Step(context.Background())
	if err != nil {
		w.s.breaks("I-19", "simulator: %v", err)
	}
	w.next = next
}

// noticeDoor is our side of the platforms' notices.
type noticeDoor struct{ s *storm }

// RoundTrip implements http.RoundTripper.
func (d noticeDoor) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	reply, ok := d.s.deliverNotice(r.URL.Path, r.Header, body)
	if err := r.Context().Err(); err != nil || !ok {
		return nil, errors.Join(io.ErrUnexpectedEOF, err)
	}
	return &http.Response{StatusCode: reply.Status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(reply.Body))}, nil
}

// platformDoor is the way to the platforms. Their own faults come on top of those of the way.
type platformDoor struct {
	s       *storm
	handler http.Handler
}

// RoundTrip implements http.RoundTripper.
func (d platformDoor) RoundTrip(r *http.Request) (*http.Response, error) {
	d.s.pause("call goes " + r.Method)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if d.s.chance(d.s.faults.fails / 2) {
		return nil, io.ErrUnexpectedEOF
	}
	in := r.Clone(context.Background())
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	kept := serve(d.handler, rec, in)
	d.s.note("platform", r.Method, r.URL.Path, fmt.Sprint(rec.Code), fmt.Sprint(kept))
	d.s.pause("call comes " + r.Method)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if !kept || d.s.chance(d.s.faults.lost/2) {
		return nil, io.ErrUnexpectedEOF
	}
	return rec.Result(), nil
}

// serve reports whether the handler kept its connection.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (kept bool) {
	defer func() {
		if r := recover(); r != nil && r != any(http.ErrAbortHandler) {
			panic(r)
		}
	}()
	h.ServeHTTP(w, r)
	return true
}
