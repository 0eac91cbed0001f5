package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"piaohao/internal/id"
	sims "piaohao/internal/sim/all"
	"piaohao/internal/web/httpx"
)

// What every payment is about.
const (
	amount  = 12800
	subject = "《大宋提刑官》精装本 × 1"
)

// The three ways in which a platform tells.
const (
	v3     = "wechatv3"
	v2     = "wechatv2"
	alipay = "alipay"
)

var ways = []string{v3, alipay, v2}

// What a notice begins with, and what an answer to it has when it is taken.
var (
	firstSign    = map[string]string{v3: "{", alipay: "", v2: "<"}
	acknowledged = map[string]string{v3: `"SUCCESS"`, alipay: "success", v2: "[SUCCESS]"}
)

// wayOf are settings with which new payments take a way: those of a merchant who has the older protocol alone, which in test
// mode decide no more than that.
func wayOf(way string) []string {
	if way != v2 {
		return nil
	}
	return []string{"WECHAT_SANDBOX=true", "WECHAT_APP_ID=wx5f0c2e7a9d3b1864", "WECHAT_MCH_ID=1652083947", "WECHAT_MCH_KEY=" + id.Token()}
}

// town is the simulator of both platforms in this process, which hands the notices that it writes to us.
type town struct {
	sim    *sims.Sim
	url    string
	server *http.Server

	mu      sync.Mutex
	letters []letter
}

// letter is a notice as the platform sends it.
type letter struct {
	path   string
	header http.Header
	body   []byte
}

// fixture is a payment with the notice that it is paid.
type fixture struct {
	known
	Transaction string
	ID          string
	Page        string // path of the payer's page
	way         string
	letter      letter
}

func newTown() (*town, error) {
	t := &town{}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	t.url = "http://" + l.Addr().String()
	t.sim, err = sims.New(sims.Options{PublicURL: t.url, Wall: time.Now, HTTP: &http.Client{Transport: t}, Log: log})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	t.server = httpx.NewServer(t.sim.Handler(), log)
	go func() { _ = t.server.Serve(l) }() // until close
	return t, nil
}

func (t *town) close() error { return errors.Join(t.server.Close(), t.sim.Close()) }

// RoundTrip takes a notice of the simulator's and acknowledges it.
func (t *town) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	ack := "success"
	if bytes.HasPrefix(body, []byte("<")) {
		ack = "<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.letters = append(t.letters, letter{r.URL.Path, r.Header.Clone(), body})
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(ack)), Request: r}, nil
}

// pay lets a payer pay by a code, and returns both sides' numbers.
func (t *town) pay(ctx context.Context, code string) (outTradeNo, transaction string, err error) {
	body, err := json.Marshal(map[string]string{"code": code})
	if err != nil {
		return "", "", err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/sim/wallet/pay", bytes.NewReader(body))
	if err != nil {
		return "", "", err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", "", err
	}
	defer resp.Body.Close()
	var paid struct {
		OutTradeNo  string `json:"out_trade_no"`
		Transaction string `json:"transaction_id"`
		TradeNo     string `json:"trade_no"`
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the simulator's wallet answered %d %s", resp.StatusCode, text)
	}
	if err == nil {
		err = json.Unmarshal(text, &paid)
	}
	return paid.OutTradeNo, paid.Transaction + paid.TradeNo, err
}

// collect writes n notices and takes them, in the order of no one.
func (t *town) collect(ctx context.Context, n int) ([]letter, error) {
	_, err := together(n, noticeSigners, func(int) error {
		_, err := t.sim.Step(ctx)
		return err
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.letters
	t.letters = nil
	if err == nil && len(out) != n {
		err = fmt.Errorf("the simulator sent %d notices instead of %d", len(out), n)
	}
	return out, err
}

const noticeSigners = 4

// payment is what the API answers of one.
type payment struct {
	ID         string `json:"id"`
	CashierURL string `json:"cashier_url"`
	Action     struct{ Code, URL string }
	Attempts   []struct {
		OutTradeNo string `json:"out_trade_no"`
	}
}

// creates are n calls that create payments, with order numbers that begin with prefix.
func (b *bench) creates(prefix, method string, n int) []call {
	out := make([]call, n)
	for i := range out {
		body, _ := json.Marshal(map[string]any{ // plain fields
			"order_no": fmt.Sprintf("%s-%d", prefix, i), "amount": amount, "subject": subject, "method": method,
		})
		out[i] = newCall(http.MethodPost, b.addr, "/v1/payments", b.asShop(), body, http.StatusCreated, `"status":"open"`)
	}
	return out
}

// asShop are the headers of the default shop.
func (b *bench) asShop() http.Header {
	return http.Header{"Authorization": {"Bearer " + b.key}, "Content-Type": {"application/json"}}
}

// made collects the payments that creates were answered with.
func made(n int) ([]payment, func(int, http.Header, []byte) error) {
	out := make([]payment, n)
	return out, func(i int, _ http.Header, body []byte) error { return json.Unmarshal(body, &out[i]) }
}

// goLinks are the calls of payers who follow the links of payments.
func (b *bench) goLinks(payments []payment) []call {
	out := make([]call, len(payments))
	for i, p := range payments {
		out[i] = newCall(http.MethodGet, b.addr, pathOf(p.Action.URL), nil, nil, http.StatusSeeOther, "")
	}
	return out
}

func pathOf(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return link
	}
	return u.RequestURI()
}

// orders makes n payments by one way through the running gateway and returns the codes that payers pay by.
func (b *bench) orders(ctx context.Context, way string, n int, told func(int64)) ([]payment, []string, error) {
	method := "wechat"
	if way == alipay {
		method = "alipay"
	}
	payments, took := made(n)
	l := load{addr: b.addr, calls: b.creates("fixture-"+way, method, n), callers: fixtureCallers, took: took, done: told}
	if _, err := l.run(ctx); err != nil {
		return nil, nil, fmt.Errorf("making payments: %w", err)
	}
	codes := make([]string, n)
	for i, p := range payments {
		codes[i] = p.Action.Code
	}
	if way != alipay {
		return payments, codes, nil
	}
	l = load{addr: b.addr, calls: b.goLinks(payments), callers: fixtureCallers, took: func(i int, h http.Header, _ []byte) error {
		codes[i] = h.Get("Location")
		return nil
	}}
	if _, err := l.run(ctx); err != nil {
		return nil, nil, fmt.Errorf("opening links: %w", err)
	}
	return payments, codes, nil
}

// pays has payments paid at the simulator and returns them with their notices, which nobody has heard yet. No gateway runs
// meanwhile: it would ask.
func (b *bench) pays(ctx context.Context, way string, payments []payment, codes []string) ([]fixture, error) {
	out := make([]fixture, len(payments))
	byNumber := map[string]int{}
	var mu sync.Mutex
	account := map[string]string{v3: "wechat-sim", v2: "wechatv2-sim", alipay: "alipay-sim"}[way]
	_, err := together(len(out), fixtureCallers, func(i int) error {
		no, transaction, err := b.town.pay(ctx, codes[i])
		mu.Lock()
		defer mu.Unlock()
		out[i] = fixture{known: known{account, no}, Transaction: transaction, ID: payments[i].ID, Page: pathOf(payments[i].CashierURL), way: way}
		byNumber[no] = i
		return err
	})
	if err != nil {
		return nil, err
	}
	letters, err := b.town.collect(ctx, len(out))
	if err != nil {
		return nil, err
	}
	for i, l := range letters {
		if !bytes.HasPrefix(l.body, []byte(firstSign[way])) {
			return nil, fmt.Errorf("a notice by %s begins with %.10q", way, l.body)
		}
		// Of an encrypted notice nobody can see, and nobody needs to know, which payment it is about.
		if form, err := url.ParseQuery(string(l.body)); way == alipay && err == nil {
			i = byNumber[form.Get("out_trade_no")]
		}
		out[i].letter = l
	}
	return out, nil
}

const fixtureCallers = 8

// notices are the calls that bring the fixtures' notices.
func (b *bench) notices(fixtures []fixture) []call {
	out := make([]call, len(fixtures))
	for i, f := range fixtures {
		out[i] = newCall(http.MethodPost, b.addr, f.letter.path, f.letter.header, f.letter.body, http.StatusOK, acknowledged[f.way])
	}
	return out
}

// testKey is the default shop's key in a data folder.
func testKey(folder string) (string, error) {
	text, err := os.ReadFile(filepath.Join(folder, "test.keys"))
	if err != nil {
		return "", err
	}
	var keys struct{ Default string }
	return keys.Default, json.Unmarshal(text, &keys)
}
