package bench

import (
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
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"piaohao/internal/store"
)

// Sizes of the floors.
const (
	pageValues  = 24 // that a template's page has
	pgCallers   = 16 // with more PostgreSQL is not faster
	floorHeader = 5 * time.Second
)

// floors are what the parts of an operation cost bare, in a process of their own: handlers that answer what they are
// told to, and jobs.
type floors struct {
	mu      sync.RWMutex
	answers map[string]answer // by pattern
	pages   *template.Template
	key     *rsa.PrivateKey
}

// answer is what a pattern answers.
type answer struct {
	Pattern  string `json:"pattern"`
	Type     string `json:"type"`
	Location string `json:"location"`
	Status   int    `json:"status"`
	Body     string `json:"body"`
	Template bool   `json:"template"` // Body is written by html/template, with pageValues values
}

// job is work to do at once; its result is a measured.
type job struct {
	Kind  string  `json:"kind"` // sign, verify, create, notice
	Times int     `json:"times"`
	DSN   string  `json:"dsn"`
	Group int     `json:"group"` // Changes in one transaction of SQLite
	Known []known `json:"known"` // that notices are about
}

// known is an attempt of the fixtures.
type known struct {
	Account    string `json:"account"`
	OutTradeNo string `json:"out_trade_no"`
}

// measured is what a job took. CPU is this process's.
type measured struct {
	Times int           `json:"times"`
	CPU   time.Duration `json:"cpu"`
	Wall  time.Duration `json:"wall"`
	P50   time.Duration `json:"p50"` // of one, where each is waited for alone
}

// serveFloors listens on any free port, says which on stdout, and serves until ctx ends.
func serveFloors(ctx context.Context, stdout io.Writer) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	f := &floors{answers: map[string]answer{}, key: key}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for _, pattern := range []string{
		"GET /v1/payments/{id}", "POST /v1/payments", "GET /payment/go/{token}/{method}", "GET /payment/process/{token}",
		"POST /payment/wechat/notify", "POST /payment/alipay/notify",
	} {
		mux.HandleFunc(pattern, f.serve)
	}
	mux.HandleFunc("POST /floor/answer", f.setAnswer)
	mux.HandleFunc("POST /floor/job", f.serveJob)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: floorHeader}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if _, err := fmt.Fprintln(stdout, l.Addr()); err != nil {
		return err
	}
	if err := server.Serve(l); ctx.Err() == nil {
		return err
	}
	return nil
}

// serve is the bare handler: it reads the body and answers.
func (f *floors) serve(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a broken call is the caller's to count
	f.mu.RLock()
	a, page := f.answers[r.Pattern], f.pages
	f.mu.RUnlock()
	w.Header().Set("Content-Type", a.Type)
	if a.Location != "" {
		w.Header().Set("Location", a.Location)
	}
	w.WriteHeader(a.Status)
	if a.Template {
		_ = page.Execute(w, a.Body) // as above
		return
	}
	_, _ = io.WriteString(w, a.Body)
}

func (f *floors) setAnswer(w http.ResponseWriter, r *http.Request) {
	var a answer
	if err := json.NewDecoder(r.Body).Decode(&a); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.Template {
		f.pages, a.Body = pageLike(a.Body), "value"
	}
	f.answers[a.Pattern] = a
}

// pageLike is a template whose page is as long as this one, with pageValues values in it.
func pageLike(page string) *template.Template {
	const value = "<i>{{.}}</i>"
	var text strings.Builder
	text.WriteString("<!doctype html><title>x</title><pre>")
	filler := strings.Repeat("x", max(len(page)/pageValues-len("<i>value</i>"), 1))
	for range pageValues {
		text.WriteString(filler + value)
	}
	return template.Must(template.New("bare").Parse(text.String()))
}

func (f *floors) serveJob(w http.ResponseWriter, r *http.Request) {
	var j job
	err := json.NewDecoder(r.Body).Decode(&j)
	var m measured
	if err == nil {
		m, err = f.do(r.Context(), j)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(m) // as above
}

func (f *floors) do(ctx context.Context, j job) (measured, error) {
	sum := sha256.Sum256([]byte("floor"))
	signature, err := rsa.SignPKCS1v15(nil, f.key, crypto.SHA256, sum[:])
	if err != nil {
		return measured{}, err
	}
	switch j.Kind {
	case "sign":
		return together(j.Times, runtime.GOMAXPROCS(0), func(int) error {
			_, err := rsa.SignPKCS1v15(nil, f.key, crypto.SHA256, sum[:])
			return err
		})
	case "verify":
		return together(j.Times, runtime.GOMAXPROCS(0), func(int) error {
			return rsa.VerifyPKCS1v15(&f.key.PublicKey, crypto.SHA256, sum[:], signature)
		})
	}
	changes, err := changesOf(ctx, j)
	if err != nil {
		return measured{}, err
	}
	return commits(ctx, j.DSN, changes, j.Group)
}

// commits writes the Changes as bare as the engine allows. A group of one is one caller who waits for each.
func commits(ctx context.Context, dsn string, changes [][]store.Statement, group int) (measured, error) {
	if path, lite := strings.CutPrefix(dsn, "sqlite:"); lite {
		return grouped(ctx, path, changes, group)
	}
	return trips(ctx, dsn, changes, group)
}

// together runs f(0…n-1) on some goroutines.
func together(n, goroutines int, f func(i int) error) (measured, error) {
	var next atomic.Int64
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	took := newLatency()
	stop, err := stopwatch()
	if err != nil {
		return measured{}, err
	}
	for range goroutines {
		wg.Go(func() {
			mine := newLatency()
			var err error
			for i := next.Add(1) - 1; i < int64(n) && err == nil; i = next.Add(1) - 1 {
				began := time.Now()
				err = f(int(i))
				_ = mine.RecordValue(max(time.Since(began).Microseconds(), 1)) // within its bounds
			}
			mu.Lock()
			defer mu.Unlock()
			took.Merge(mine)
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	m, err := stop(n)
	m.P50 = time.Duration(took.ValueAtQuantile(50)) * time.Microsecond
	if first != nil {
		err = first
	}
	return m, err
}

// grouped writes the Changes to SQLite, some to a transaction, one after the other.
func grouped(ctx context.Context, path string, changes [][]store.Statement, group int) (measured, error) {
	db, err := store.Bare(path)
	if err != nil {
		return measured{}, err
	}
	defer func() { _ = db.Close() }() // what counts was committed
	conn, err := db.Conn(ctx)
	if err != nil {
		return measured{}, err
	}
	defer func() { _ = conn.Close() }() // as above
	prepared := map[string]*sql.Stmt{}
	exec := func(text string, args ...any) error {
		p := prepared[text]
		if p == nil {
			if p, err = conn.PrepareContext(ctx, text); err != nil {
				return err
			}
			prepared[text] = p
		}
		_, err := p.ExecContext(ctx, args...)
		return err
	}
	return together((len(changes)+group-1)/group, 1, func(i int) error {
		if err := exec("BEGIN IMMEDIATE"); err != nil {
			return err
		}
		for _, c := range changes[i*group : min((i+1)*group, len(changes))] {
			for _, s := range c {
				if err := exec(s.Text, s.Args...); err != nil {
					return err
				}
			}
		}
		return exec("COMMIT")
	})
}

// trips writes each Change to PostgreSQL as one transaction in one round trip, from pgCallers connections, or from one when
// a group is one.
func trips(ctx context.Context, dsn string, changes [][]store.Statement, group int) (measured, error) {
	conns := pgCallers
	if group == 1 {
		conns = 1
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return measured{}, err
	}
	config.MaxConns = int32(conns)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return measured{}, err
	}
	defer pool.Close()
	m, err := together(len(changes), conns, func(i int) error {
		var batch pgx.Batch
		for _, s := range changes[i] {
			batch.Queue(s.Text, s.Args...)
		}
		return pool.SendBatch(ctx, &batch).Close()
	})
	return m, err
}

// stopwatch measures this process until its result is called.
func stopwatch() (stop func(times int) (measured, error), err error) {
	began := time.Now()
	before, err := ownCPU()
	return func(times int) (measured, error) {
		now, err := ownCPU()
		return measured{Times: times, CPU: now - before, Wall: time.Since(began)}, err
	}, err
}

// ask gives the floors a job.
func (c *child) ask(ctx context.Context, path string, what, result any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+c.addr+path, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("floor %s: %s %s", path, strconv.Itoa(resp.StatusCode), text)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(text, result)
}
