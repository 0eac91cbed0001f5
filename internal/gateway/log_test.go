package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// numbered is a platform whose answers carry the number of the call, as they do over HTTP.
type numbered struct {
	*platform
	env channel.Env
	url string
}

func (n numbered) call(ctx context.Context, op string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.url+"/"+op, nil)
	if err == nil {
		_, _ = n.env.Call(op, req)
	}
}

func (n numbered) Open(ctx context.Context, a pay.Attempt) (pay.Shape, error) {
	n.call(ctx, "open")
	return n.platform.Open(ctx, a)
}

func (n numbered) Query(ctx context.Context, a pay.Attempt) (pay.Observation, error) {
	n.call(ctx, "query")
	return n.platform.Query(ctx, a)
}

func (n numbered) Close(ctx context.Context, a pay.Attempt) (pay.Observation, error) {
	n.call(ctx, "close")
	return n.platform.Close(ctx, a)
}

// logged makes a world whose platform "scan" numbers its answers and takes 30 ms for each; lines are the log's.
func logged(t *testing.T) (w *world, lines func() []map[string]any) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.now.Add(30)
		rw.Header().Set("Request-Id", "REQ"+strings.ReplaceAll(r.URL.Path, "/", "-"))
	}))
	t.Cleanup(srv.Close)
	w = newWorld(t, func(accounts []gateway.Account) []gateway.Account {
		scan, _ := accounts[0].Channel.(*platform)
		accounts[0].Channel = numbered{scan, channel.Env{HTTP: srv.Client()}, srv.URL}
		return accounts
	})
	var out bytes.Buffer
	w.config.Log = slog.New(slog.NewJSONHandler(&out, nil))
	w.g = gateway.New(w.config)
	return w, func() []map[string]any {
		var all []map[string]any
		for line := range strings.Lines(out.String()) {
			m := map[string]any{}
			w.must(json.Unmarshal([]byte(line), &m))
			all = append(all, m)
		}
		out.Reset()
		return all
	}
}

// TestEveryOperationIsOneLine asks for the names that docs/production.md promises.
func TestEveryOperationIsOneLine(t *testing.T) {
	t.Parallel()
	forbidden := fail(channel.Declined)
	for _, row := range []struct {
		name string
		do   func(w *world, p pay.Payment) // after a payment by code was created
		want []string                      // level op outcome request-id duration_ms
	}{
		{"a notice that pays", func(w *world, p pay.Payment) { w.notice(w.qr, p.Attempts[0], "tx", nil) }, []string{"INFO notice applied  0"}},
		{"the same notice twice", func(w *world, p pay.Payment) {
			w.notice(w.qr, p.Attempts[0], "tx", nil)
			w.notice(w.qr, p.Attempts[0], "tx", nil)
		}, []string{"INFO notice applied  0", "INFO notice duplicate  0"}},
		{"a notice that does not fit, twice", func(w *world, p pay.Payment) {
			for range 2 {
				w.notice(w.qr, p.Attempts[0], "tx", func(n *note) { n.Amount-- })
			}
		}, []string{"ERROR notice quarantine  0", "INFO notice quarantine  0"}},
		{"a query", func(w *world, p pay.Payment) {
			w.qr.pay(p.Attempts[0].OutTradeNo, "tx")
			w.advance(time.Minute)
		}, []string{"INFO query applied REQ-query 30"}},
		{"a query without answer", func(w *world, _ pay.Payment) {
			w.qr.script(func(string, string) error { return fail(channel.Unknown) }, nil)
			w.advance(time.Minute)
		}, []string{"WARN query unknown REQ-query 30"}},
		{"a cancel closes there, then here", func(w *world, p pay.Payment) {
			_, err := w.g.ClosePayment(w.t.Context(), "shop", p.ID)
			w.must(err)
		}, []string{"INFO close applied REQ-close 30", "INFO cancel closed  30"}},
		{"the end of its time", func(w *world, p pay.Payment) {
			w.now.Store(p.ExpiresAt.UnixMilli() + 1)
			_, err := w.g.StepExpiry(w.t.Context())
			w.must(err)
		}, []string{"INFO expire applied  0"}},
		{"a create again", func(w *world, _ pay.Payment) { w.create("o1", "scan") }, []string{"INFO create found  0"}},
		{"a create of another amount", func(w *world, _ pay.Payment) {
			_, err := w.g.Create(w.t.Context(), gateway.CreateInput{Shop: "shop", OrderNo: "o1", Amount: 1, Subject: "s"})
			if err == nil {
				w.t.Error("accepted")
			}
		}, []string{"INFO create order_no_conflict  0"}},
		{"a way back", func(w *world, _ pay.Payment) {
			p := w.create("o2", "visit")
			if _, err := w.g.Go(w.t.Context(), gateway.PageInput{Token: p.Token, Method: "visit"}, ""); err != nil {
				w.t.Error(err)
			}
			p = w.load(p.ID)
			if _, err := w.g.Returned(w.t.Context(), "signed&no="+p.Attempts[0].OutTradeNo); err != nil {
				w.t.Error(err)
			}
		}, []string{"INFO create created  0", "INFO open opened  0", "INFO return accepted  0"}},
		{"a refusal is told once", func(w *world, _ pay.Payment) {
			w.qr.script(func(string, string) error { return forbidden }, nil)
			w.create("o2", "scan")
		}, []string{"WARN open declined REQ-open 30", "INFO create created  30"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w, lines := logged(t)
			p := w.create("o1", "scan")
			first := lines()
			if got := texts(first); !slices.Equal(got, []string{"INFO open opened REQ-open 30", "INFO create created  30"}) {
				t.Fatalf("%q", got)
			}
			row.do(w, p)
			all := lines()
			if got := texts(all); !slices.Equal(got, row.want) {
				t.Errorf("%q, want %q", got, row.want)
			}
			for _, m := range append(first, all...) {
				complete(t, m)
			}
		})
	}
}

func texts(lines []map[string]any) []string {
	var out []string
	for _, m := range lines {
		id, _ := m["platform_request_id"].(string)
		out = append(out, fmt.Sprint(m["level"], " ", m["op"], " ", m["outcome"], " ", id, " ", m["duration_ms"]))
	}
	return out
}

// complete asks for the names of a line of its kind.
func complete(t *testing.T, m map[string]any) {
	t.Helper()
	names := []string{"payment", "attempt", "account", "out_trade_no"}
	switch m["op"] {
	case "create", "cancel":
		names = []string{"order_no"}
		if m["outcome"] != "order_no_conflict" {
			names = append(names, "payment")
		}
	case "expire":
		names = []string{"payment", "status"}
	}
	for _, name := range names {
		if text, _ := m[name].(string); text == "" {
			t.Errorf("no %s in %v", name, m)
		}
	}
}

func TestInvalidCreatesAreNotRepeatedInTheLog(t *testing.T) {
	t.Parallel()
	w, lines := logged(t)
	_, err := w.g.Create(t.Context(), gateway.CreateInput{Shop: "shop", OrderNo: "canary\n", Amount: 1, Subject: "s"})
	if got := lines(); err == nil || len(got) != 0 {
		t.Errorf("A103 %v %v", err, got)
	}
}

// The platform's number of a call that went well stands in the timeline too.
func TestTimelineNamesThePlatformsRequest(t *testing.T) {
	t.Parallel()
	w, _ := logged(t)
	p := w.create("o1", "scan")
	if lines := said(w.looked(p.ID)); !slices.Contains(lines, "sent open ×1 answered qr request REQ-open") {
		t.Errorf("%q", lines)
	}
}
