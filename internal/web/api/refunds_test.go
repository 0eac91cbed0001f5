package api_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/gateway"
	"piaohao/internal/view"
)

const goodRefund = `{"refund_no":"r-1","amount":40}`

func TestRefund(t *testing.T) {
	t.Parallel()
	f := &fake{}
	h := handler(t, f, io.Discard)
	path := "/v1/payments/" + idA + "/refunds"
	for body, status := range map[string]int{goodRefund: 201, `{"refund_no":"again","amount":40}`: 200} {
		w := do(h, call{"POST", path, keyA, body, nil})
		var got view.Refund
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != status {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		got.Object = "refund"
		if diff := cmp.Diff(refund(), got); diff != "" {
			t.Error(diff)
		}
	}
	f.refunds = nil
	do(h, call{"POST", path, keyA, `{"refund_no":"r-2","amount":12800,"reason":"茶凉了","notify":false}`, nil})
	if diff := cmp.Diff([]gateway.RefundInput{{RefundNo: "r-2", Amount: 12800, Reason: "茶凉了", Quiet: true}}, f.refunds); diff != "" {
		t.Error(diff)
	}
}

func TestRefundRefuses(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ body, param string }{
		"no number":               {`{"amount":1}`, "refund_no"},
		"a number with a blank":   {`{"refund_no":"r 1","amount":1}`, "refund_no"},
		"no amount":               {`{"refund_no":"r"}`, "amount"},
		"A29 a part of a fen":     {`{"refund_no":"r","amount":1.5}`, ""},
		"A29 less than nothing":   {`{"refund_no":"r","amount":-1}`, "amount"},
		"A29 1e2":                 {`{"refund_no":"r","amount":1e2}`, ""},
		"A51 amount twice":        {`{"refund_no":"r","amount":1,"amount":2}`, ""},
		"a field that is unknown": {`{"refund_no":"r","amount":1,"to":"me"}`, ""},
		"a reason of 81 bytes":    {`{"refund_no":"r","amount":1,"reason":"` + strings.Repeat("x", 81) + `"}`, "reason"},
		"A103 a line break":       {`{"refund_no":"r","amount":1,"reason":"a\nb"}`, "reason"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fake{}
			w := do(handler(t, f, io.Discard), call{"POST", "/v1/payments/" + idA + "/refunds", keyA, row.body, nil})
			wantProblem(t, w, 400, "invalid_request", row.param)
			if len(f.refunds) != 0 {
				t.Error("it was made all the same")
			}
		})
	}
}

func TestA95RefundsOfOthers(t *testing.T) {
	t.Parallel()
	h := handler(t, &fake{}, io.Discard)
	for _, path := range []string{"/v1/refunds/rfd_2", "/v1/refunds/x", "/v1/refunds/pay_1", "/v1/refunds?refund_no=r-2"} {
		wantProblem(t, do(h, call{"GET", path, keyA, "", nil}), 404, "not_found", "")
	}
	for _, path := range []string{"/v1/refunds/rfd_1", "/v1/refunds?refund_no=r-1"} {
		wantProblem(t, do(h, call{"GET", path, keyB, "", nil}), 404, "not_found", "")
		if w := do(h, call{"GET", path, keyA, "", nil}); w.Code != 200 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	f := &fake{}
	h := handler(t, f, io.Discard)
	w := do(h, call{"GET", "/v1/events?after=41&limit=7", keyA, "", nil})
	var got view.Events
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != 200 || len(got.Data) != 1 || got.Data[0].Pos != 42 || !got.HasMore {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if f.after != 41 || f.limit != 7 {
		t.Errorf("asked for %d after %d", f.limit, f.after)
	}
	for query, param := range map[string]string{
		"?limit=0": "limit", "?limit=101": "limit", "?after=-1": "after", "?after=x": "after", "?after=1&after=2": "after", "?before=1": "before",
		"?after=01": "after",
	} {
		wantProblem(t, do(h, call{"GET", "/v1/events" + query, keyA, "", nil}), 400, "invalid_request", param)
	}
	wantProblem(t, do(h, call{"GET", "/v1/events", "", "", nil}), 401, "unauthorized", "")
}
