package e2e

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/id"
	sims "piaohao/internal/sim/all"
	"piaohao/internal/store"
	"piaohao/internal/web/api"
	"piaohao/internal/web/cashier"
	"piaohao/internal/web/httpx"
	"piaohao/internal/web/notify"
)

// figureCallers is how many callers ask at once.
const figureCallers = 64

// BenchmarkFigures measures what the gateway does beside what its parts cost bare, in the same run: scripts/figures makes
// the table. The figure to compare is cpu-µs/op, all of this process: on a shared machine wall time says little. Callers
// are in this process too, and so they are in every floor.
func BenchmarkFigures(b *testing.B) {
	w := newFigures(b)
	b.Run("notice-wechatv3", func(b *testing.B) { w.notices(b, "wechat") })
	b.Run("notice-alipay", func(b *testing.B) { w.notices(b, "alipay") })
	b.Run("create", func(b *testing.B) { w.creates(b, "") })
	b.Run("create-native", func(b *testing.B) { w.creates(b, "wechat") })
	b.Run("go-link", w.goLinks)
	b.Run("status", func(b *testing.B) { w.get(b, w.url+"/v1/payments/"+w.one.ID) })
	b.Run("page", func(b *testing.B) { w.get(b, w.one.CashierURL) })
	b.Run("floor-get", func(b *testing.B) { w.bare(b, w.body(b, w.url+"/v1/payments/"+w.one.ID), "") })
	b.Run("floor-post", func(b *testing.B) { w.bare(b, "success", strings.Repeat("x", 900)) })
	b.Run("floor-template", func(b *testing.B) { w.template(b, w.body(b, w.one.CashierURL)) })
	b.Run("floor-commit-create", func(b *testing.B) { w.commits(b, createRows) })
	b.Run("floor-commit-notice", func(b *testing.B) { w.commits(b, noticeRows) })
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	w.must(err)
	sum := sha256.Sum256([]byte("floor"))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	w.must(err)
	b.Run("floor-rsa-sign", func(b *testing.B) {
		w.share(b, func(int) error { _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]); return err })
	})
	b.Run("floor-rsa-verify", func(b *testing.B) {
		w.share(b, func(int) error { return rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature) })
	})
}

// figures is the gateway's handlers behind a real listener, over a real database; the simulator is called in process.
type figures struct {
	b       *testing.B
	db      *store.DB
	gateway *gateway.Gateway
	sim     *sims.Sim
	url     string
	client  *http.Client
	orders  atomic.Int64
	mailbox mailbox
	one     struct {
		ID         string `json:"id"`
		CashierURL string `json:"cashier_url"`
		Action     struct {
			Code, URL string
		} `json:"action"`
	}
}

const figureKey = "sk_test_figures"

// inside answers calls to the simulator without a network.
type inside struct{ handler http.Handler }

func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	i.handler.ServeHTTP(w, in)
	return w.Result(), nil
}

// mailbox keeps the notices that the simulator sends, and acknowledges them.
type mailbox struct {
	mu   sync.Mutex
	kept []letter
}

type letter struct {
	header http.Header
	body   []byte
}

func (m *mailbox) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	m.kept = append(m.kept, letter{r.Header.Clone(), body})
	m.mu.Unlock()
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("success"))}, nil
}

func newFigures(b *testing.B) *figures {
	b.Helper()
	w := &figures{b: b}
	log := slog.New(slog.DiscardHandler)
	var err error
	w.sim, err = sims.New(sims.Options{PublicURL: "http://sim.test", Wall: time.Now, HTTP: &http.Client{Transport: &w.mailbox}, Log: log})
	w.must(err)
	b.Cleanup(func() { w.must(w.sim.Close()) })
	w.db, err = store.Open(b.Context(), store.Options{DSN: "sqlite:" + filepath.Join(b.TempDir(), "test.db"), Mode: "test", Now: time.Now, Log: log})
	w.must(err)
	b.Cleanup(func() { w.must(w.db.Close()) })
	w.must(w.db.UpsertShop(b.Context(), store.Shop{ID: "shop", Name: "shop"}))
	w.must(w.db.UpsertKey(b.Context(), "shop", sha256.Sum256([]byte(figureKey)), false))
	accounts, err := simAccounts(w.sim.Credentials(), "http://sim.test", &http.Client{Transport: inside{w.sim.Handler()}}, time.Now, log)
	w.must(err)
	for _, a := range accounts {
		w.must(w.db.UpsertAccount(b.Context(), accountRow(a)))
	}
	w.gateway = gateway.New(gateway.Config{
		DB: w.db, Accounts: accounts, PublicURL: "http://gateway.test", Now: time.Now, NewID: id.New(time.Now).ID, NewToken: id.Token, Log: log,
	})
	rest, err := api.New(api.Config{Gateway: w.gateway, PublicURL: "http://gateway.test"})
	w.must(err)
	mux := http.NewServeMux()
	mux.Handle("/v1/", rest)
	mux.Handle("/payment/", cashier.New(cashier.Config{
		Gateway: w.gateway, Platforms: w.gateway.Platforms(), Log: log, Now: time.Now, ClientIP: func(*http.Request) string { return "" },
	}))
	notify.Mount(mux, w.gateway)
	w.url, w.client = w.listen(httpx.Wrap(log, time.Now, mux)), &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: figureCallers},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	w.must(json.Unmarshal([]byte(w.create("wechat")), &w.one))
	w.one.CashierURL = w.here(w.one.CashierURL)
	return w
}

func (w *figures) must(err error) {
	w.b.Helper()
	if err != nil {
		w.b.Fatal(err)
	}
}

func (w *figures) listen(h http.Handler) string {
	s := httptest.NewServer(h)
	w.b.Cleanup(s.Close)
	return s.URL
}

// here is a link of the gateway as this process reaches it.
func (w *figures) here(link string) string {
	return strings.Replace(link, "http://gateway.test", w.url, 1)
}

// share runs f(0…b.N-1) from all callers at once, and reports this process's CPU time for each.
func (w *figures) share(b *testing.B, f func(i int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	before := cpu()
	for range figureCallers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				if err := f(int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// send makes one request and returns the answer's text.
func (w *figures) send(method, url string, body []byte, header http.Header, want int) (string, error) {
	r, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header = header
	resp, err := w.client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s %s: %d %.200s", method, url, resp.StatusCode, text)
	}
	if location := resp.Header.Get("Location"); want == http.StatusSeeOther {
		return location, err
	}
	return string(text), err
}

var figureHeader = http.Header{"Authorization": {"Bearer " + figureKey}, "Content-Type": {"application/json"}}

func (w *figures) create(method string) string {
	text, err := w.tryCreate(method)
	w.must(err)
	return text
}

func (w *figures) tryCreate(method string) (string, error) {
	body := fmt.Appendf(nil, `{"order_no":"figure-%d","amount":12800,"subject":"《大宋提刑官》精装本 × 1"`, w.orders.Add(1))
	if method != "" {
		body = fmt.Appendf(body, `,"method":%q`, method)
	}
	return w.send(http.MethodPost, w.url+"/v1/payments", append(body, '}'), figureHeader, http.StatusCreated)
}

func (w *figures) creates(b *testing.B, method string) {
	w.share(b, func(int) error { _, err := w.tryCreate(method); return err })
}

// links makes n payments whose go link nobody has visited.
func (w *figures) links(n int) []string {
	out := make([]string, n)
	for i := range out {
		p := w.one
		w.must(json.Unmarshal([]byte(w.create("alipay")), &p))
		out[i] = w.here(p.Action.URL)
	}
	return out
}

func (w *figures) goLinks(b *testing.B) {
	links := w.links(b.N)
	w.share(b, func(i int) error {
		_, err := w.send(http.MethodGet, links[i], nil, http.Header{}, http.StatusSeeOther)
		return err
	})
}

// notices sends b.N notices of different payments, all of them paid and signed beforehand.
func (w *figures) notices(b *testing.B, method string) {
	codes := make([]string, b.N)
	for i := range codes {
		if method == "wechat" {
			p := w.one
			w.must(json.Unmarshal([]byte(w.create(method)), &p))
			codes[i] = p.Action.Code
			continue
		}
		link, err := w.send(http.MethodGet, w.links(1)[0], nil, http.Header{}, http.StatusSeeOther)
		w.must(err)
		codes[i] = link
	}
	wallet := &http.Client{Transport: inside{w.sim.Handler()}}
	for _, code := range codes {
		body, _ := json.Marshal(map[string]string{"code": code})
		r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, "http://sim.test/sim/wallet/pay", bytes.NewReader(body))
		w.must(err)
		resp, err := wallet.Do(r)
		w.must(err)
		if resp.StatusCode != http.StatusOK {
			b.Fatal(resp.Status)
		}
	}
	w.mailbox.kept = nil
	for len(w.mailbox.kept) < b.N {
		_, err := w.sim.Step(b.Context())
		w.must(err)
	}
	letters := w.mailbox.kept
	w.share(b, func(i int) error {
		_, err := w.send(http.MethodPost, w.url+"/payment/"+method+"/notify", letters[i].body, letters[i].header, http.StatusOK)
		return err
	})
}

func (w *figures) body(b *testing.B, url string) string {
	text, err := w.send(http.MethodGet, url, nil, figureHeader, http.StatusOK)
	if err != nil {
		b.Fatal(err)
	}
	return text
}

func (w *figures) get(b *testing.B, url string) {
	w.share(b, func(int) error {
		_, err := w.send(http.MethodGet, url, nil, figureHeader, http.StatusOK)
		return err
	})
}

// bare is a ServeMux that answers text, and reads a body when there is one.
func (w *figures) bare(b *testing.B, text, body string) {
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/payments/{id}", func(out http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(out, text)
	})
	url, method := w.listen(mux)+"/v1/payments/x", http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	w.share(b, func(int) error {
		_, err := w.send(method, url, []byte(body), figureHeader, http.StatusOK)
		return err
	})
}

// template is a page of the same size, with as many values as ours has, and no database.
func (w *figures) template(b *testing.B, page string) {
	const values = 24
	size := len(page) / values
	page = strings.NewReplacer("{{", "", "}}", "").Replace(page)
	var text strings.Builder
	text.WriteString("<!doctype html><title>x</title><pre>")
	filler := strings.Repeat("x", max(size-12, 1))
	for range values {
		text.WriteString(filler + "<i>{{.}}</i>")
	}
	bare := template.Must(template.New("bare").Parse(text.String()))
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/payments/{id}", func(out http.ResponseWriter, _ *http.Request) { _ = bare.Execute(out, page[:8]) })
	url := w.listen(mux) + "/v1/payments/x"
	w.share(b, func(int) error {
		_, err := w.send(http.MethodGet, url, nil, figureHeader, http.StatusOK)
		return err
	})
}

// What a create and a paid notice write. $1 is the number of the row.
var (
	createRows = []string{
		`INSERT INTO payments (id, shop, order_no, amount, currency, subject, livemode, token, return_url, metadata, created_at, expires_at, status, close_reason, paid_attempt, seq)
			VALUES ($1, 'shop', $1, 12800, 'CNY', 'subject of a payment', 0, $1, '', '{}', 1795495718000, 1795497518000, 'open', '', '', 1)`,
		`INSERT INTO events (payment_id, seq, id, type, attempt_id, refund_id, at, livemode, shop, for_shops) VALUES ($1, 1, 'c' || $1, 'payment.created', '', '', 1795495718000, 0, 'shop', 0)`,
	}
	noticeRows = []string{
		`INSERT INTO events (payment_id, seq, id, type, attempt_id, refund_id, at, livemode, shop, for_shops) VALUES ($1, 2, 'a' || $1, 'attempt.paid', $1, '', 1795495718000, 0, 'shop', 0)`,
		`INSERT INTO events (payment_id, seq, id, type, attempt_id, refund_id, at, livemode, shop, for_shops, body) VALUES ($1, 3, 'p' || $1, 'payment.paid', $1, '', 1795495718000, 0, 'shop', 1, zeroblob(900))`,
		`UPDATE payments SET status = 'paid', paid_at = 1795495718000, paid_attempt = $1, seq = 3 WHERE id = $1`,
		`UPDATE attempts SET status = 'paid', transaction_id = $1, paid_at = 1795495718000 WHERE id = $1`,
		`UPDATE attempts SET due_at = NULL, asked = asked + 1 WHERE id = $1`,
	}
	attemptRow = `INSERT INTO attempts (id, payment_id, out_trade_no, method, product, status, amount, currency, account, channel, app_id, merchant_id, subject, notify_url,
		return_url, client_ip, expires_at, created_at, lazy, shape_kind, shape_text, refunded, surplus, due_at, tries, asked, failures)
		VALUES ($1, $1, $1, 'm', 'p', 'open', 12800, 'CNY', 'a', 'c', 'i', 'm', 's', 'n', '', '', 1795497518000, 1795495718000, 0, 'qr', 'code', 0, 0, 1795495718000, 1, 0, 0)`
)

// commits is the bare grouped commit of rows, 64 to a transaction, on a database of the same tables.
func (w *figures) commits(b *testing.B, rows []string) {
	path := filepath.Join(b.TempDir(), "bare.db")
	tables, err := store.Open(b.Context(), store.Options{DSN: "sqlite:" + path, Mode: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	w.must(err)
	w.must(tables.Close())
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&_pragma=wal_autocheckpoint(4000)")
	w.must(err)
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1)
	ids := make([]string, b.N)
	for i := range ids {
		ids[i] = id.New(time.Now).ID("") + fmt.Sprint(i)[:1]
	}
	prepare := []string{}
	if len(rows) == len(noticeRows) {
		prepare = append(append(prepare, createRows...), attemptRow)
	}
	w.grouped(b, db, prepare, ids)
	b.ResetTimer()
	before := cpu()
	w.grouped(b, db, rows, ids)
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

func (w *figures) grouped(b *testing.B, db *sql.DB, rows, ids []string) {
	if len(rows) == 0 {
		return
	}
	ctx := b.Context()
	prepared := make([]*sql.Stmt, len(rows))
	for i, text := range rows {
		var err error
		prepared[i], err = db.PrepareContext(ctx, text) //nolint:sqlclosecheck // closed below
		w.must(err)
		defer func() { _ = prepared[i].Close() }()
	}
	for begin := 0; begin < len(ids); begin += figureCallers {
		tx, err := db.BeginTx(ctx, nil)
		w.must(err)
		for _, row := range ids[begin:min(begin+figureCallers, len(ids))] {
			for _, s := range prepared {
				_, err := tx.StmtContext(ctx, s).ExecContext(ctx, row) //nolint:sqlclosecheck // its transaction closes it
				w.must(err)
			}
		}
		w.must(tx.Commit())
	}
}
