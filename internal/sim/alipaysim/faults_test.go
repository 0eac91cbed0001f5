package alipaysim

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"piaohao/internal/sim/simkit"
)

func signedByPlatform(text, signature string) bool {
	return verify(&testKeys()["alipay_platform"].PublicKey, rsa2, text, signature)
}

func TestFaultUnknownResultComesAfterTheEffect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.act(w.visit(w.page("A")), "login")
	w.sim.SetFaults(Faults{UnknownResult: true})
	w.close("A").is(t, "20000", "isp.unknow-error")
	w.sim.SetFaults(Faults{})
	if got := w.status("A"); got != tradeClosed {
		t.Errorf("status %s, want it closed", got)
	}
}

func TestFaultSlashes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	biz := pageBiz("A")
	biz["body"] = "1/2"
	if _, err := w.sim.Pay(link(w.request(methodPagePay, biz)), ""); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		faults      Faults
		escaped     bool
		plain, asIs bool // which text the signature is over
	}{
		"none":               {Faults{}, false, true, true},
		"escaped_slash":      {Faults{EscapedSlash: true}, true, false, true},
		"slash_signed_plain": {Faults{SlashSignedPlain: true}, true, true, false},
	} {
		w.sim.SetFaults(row.faults)
		r := w.query("A")
		if strings.Contains(r.raw, `"body":"1\/2"`) != row.escaped {
			t.Errorf("%s: %s", name, r.raw)
		}
		if signedByPlatform(r.raw, r.sign) != row.asIs || signedByPlatform(strings.ReplaceAll(r.raw, `\/`, "/"), r.sign) != row.plain {
			t.Errorf("%s: signed over another text", name)
		}
	}
}

func TestA12FaultUnsignedSuccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.act(w.visit(w.page("A")), "login")
	w.sim.SetFaults(Faults{UnsignedSuccess: true})
	if r := w.query("A"); r.sign != "" || strings.Contains(r.body, `"sign"`) || r.get("code") != "10000" {
		t.Errorf("reply %s", r.body)
	}
	w.query("B").is(t, "40004", "ACQ.TRADE_NOT_EXIST")
}

func TestFaultDuplicateNode(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.act(w.visit(w.page("A")), "login")
	w.sim.SetFaults(Faults{DuplicateNode: true})
	r := w.query("A")
	first, _, _ := strings.Cut(strings.TrimPrefix(r.body, `{"alipay_trade_query_response":`), `,"sign":`)
	if !signedByPlatform(first, r.sign) || !strings.Contains(first, waitBuyerPay) {
		t.Errorf("the first node is not the honest one: %s", r.body)
	}
	if r.get("trade_status") != tradeSuccess || signedByPlatform(r.raw, r.sign) {
		t.Errorf("the second node is not the forged one: %s", r.raw)
	}
}

func TestFaultGBKErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sim.SetFaults(Faults{GBKErrors: true})
	resp := w.get(link(w.request(methodQuery, map[string]any{"out_trade_no": "A"})))
	raw := text(t, resp)
	if resp.Header.Get("Content-Type") != "text/html;charset=utf-8" || !strings.Contains(raw, gbkCharset.encode("交易不存在")) {
		t.Errorf("%s %q", resp.Header.Get("Content-Type"), raw)
	}
	node, signature, _ := strings.Cut(strings.TrimPrefix(raw, `{"alipay_trade_query_response":`), `,"sign":"`)
	if !signedByPlatform(node, strings.TrimSuffix(signature, `"}`)) {
		t.Error("not signed over the bytes as sent")
	}
}

func TestAppSetToRSA(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.sim.SetFaults(Faults{TakesRSA: true})
	r := w.call(methodQuery, map[string]any{"out_trade_no": "A"}, set("sign_type", "RSA"))
	if r.get("sub_code") != "ACQ.TRADE_NOT_EXIST" || !verify(&testKeys()["alipay_platform"].PublicKey, rsa1, r.raw, r.sign) {
		t.Errorf("reply %s", r.body)
	}
}

func TestKitFaultsOfCalls(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name    string
		set     simkit.FaultSettings
		subCode string
		closed  bool
		signed  bool
	}{
		{"rate limited", simkit.FaultSettings{RateLimitedPercent: 100}, "isv.app-call-limited", false, true},
		{"fails before the effect", simkit.FaultSettings{FailBeforePercent: 100}, "isp.unknow-error", false, true},
		{"probed answer", simkit.FaultSettings{ProbeAnswerPercent: 100}, "", true, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.act(w.visit(w.page("A")), "login")
			if err := w.kit.Faults.Set(row.set); err != nil {
				t.Fatal(err)
			}
			r := w.close("A")
			if r.get("sub_code") != row.subCode || signedByPlatform(r.raw, r.sign) != row.signed {
				t.Errorf("reply %s", r.body)
			}
			if err := w.kit.Faults.Set(simkit.FaultSettings{}); err != nil {
				t.Fatal(err)
			}
			if got := w.status("A"); (got == tradeClosed) != row.closed {
				t.Errorf("status %s", got)
			}
		})
	}
	t.Run("answer lost after the effect", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.act(w.visit(w.page("A")), "login")
		if err := w.kit.Faults.Set(simkit.FaultSettings{LostAnswerPercent: 100}); err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if recover() != http.ErrAbortHandler { //nolint:errorlint // a panic's value
					t.Error("the connection is not broken")
				}
			}()
			w.close("A")
		}()
		if err := w.kit.Faults.Set(simkit.FaultSettings{}); err != nil {
			t.Fatal(err)
		}
		if got := w.status("A"); got != tradeClosed {
			t.Errorf("status %s, want it closed", got)
		}
	})
}

func TestFaultsOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := func(body string) *http.Response {
		return w.do(httptest.NewRequest(http.MethodPost, "/sim/alipay/faults", strings.NewReader(body)))
	}
	if got := text(t, set(`{"duplicate_node":true}`)); !strings.Contains(got, `"duplicate_node":true`) || !w.sim.faults.Load().DuplicateNode {
		t.Errorf("set: %s", got)
	}
	if got := set(`{"duplicate_nodes":true}`); got.StatusCode != http.StatusBadRequest {
		t.Errorf("unknown name: %d", got.StatusCode)
	}
	if got := text(t, w.get("/sim/alipay/faults")); !strings.Contains(got, `"duplicate_node":true`) {
		t.Errorf("get: %s", got)
	}
	if set(`{}`); *w.sim.faults.Load() != (Faults{}) {
		t.Error("what is not named is not off")
	}
}

func TestRefusalLogKeepsTheLatest(t *testing.T) {
	t.Parallel()
	var l refusalLog
	for i := range maxRefusals + 5 {
		l.add(start, params{"method": strings.Repeat("m", i)}, missing("method"))
	}
	if got := l.latest(); len(got) != maxRefusals || len(got[0].Method) != 5 {
		t.Errorf("%d refusals, the oldest is number %d", len(got), len(got[0].Method))
	}
}
