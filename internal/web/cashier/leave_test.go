package cashier_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"piaohao/internal/gateway"
)

const goPath = "/payment/go/" + token + "/alipay"

func TestGo(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name  string
		leave gateway.Leave
		err   error
		path  string
		see   string
		code  int
		says  string
	}{
		{name: "to the platform", leave: gateway.Leave{URL: "https://pay.example/gateway.do?x=1"}, see: "https://pay.example/gateway.do?x=1"},
		{name: "back to our page", leave: gateway.Leave{ToProcess: true}, see: "/payment/process/" + token + "?method=alipay"},
		{name: "language is carried", leave: gateway.Leave{ToProcess: true}, path: goPath + "?lang=en", see: "/payment/process/" + token + "?method=alipay&lang=en"},
		{name: "not a web address", leave: gateway.Leave{URL: "javascript:alert(1)"}, code: 500, says: "出了点问题"},
		{name: "a form without an end", leave: gateway.Leave{FormHTML: "<form>"}, code: 500, says: "出了点问题"},
		{name: "paid meanwhile", err: &gateway.Error{Code: gateway.CodePaymentNotOpen}, see: "/payment/process/" + token},
		{name: "closing", err: &gateway.Error{Code: gateway.CodePaymentClosing}, see: "/payment/process/" + token},
		{name: "declined", err: &gateway.Error{Code: gateway.CodeDeclined}, see: "/payment/process/" + token},
		{name: "platform away", err: &gateway.Error{Code: gateway.CodePlatformBusy}, code: 503, says: "暂时连不上支付平台"},
		{name: "not offered", err: &gateway.Error{Code: gateway.CodeMethodUnavailable}, code: 400, says: "这种方式暂不可用"},
		{name: "too many tries", err: &gateway.Error{Code: gateway.CodeTooManyAttempts}, code: 409, says: "尝试次数太多"},
		{name: "broken", err: errors.New("secret detail"), code: 500, says: "<dt>咨询时请提供编号</dt><dd>req_"},
		{name: "A95 unknown token", path: "/payment/go/" + absent + "/alipay", code: 404, says: "没有找到这个页面"},
		{name: "A99 method of another shape", path: "/payment/go/" + token + "/..%2fx", code: 404, says: "没有找到这个页面"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(gateway.PhaseChoose)
			f.leave, f.err = row.leave, row.err
			if row.path == "" {
				row.path = goPath
			}
			res := do(t, f, request{path: row.path, header: map[string]string{"User-Agent": iPhone}})
			if res.Header.Get("Referrer-Policy") != "no-referrer" || res.Header.Get("Cache-Control") != "no-store" {
				t.Error("A98: the answer may be stored or may leak the token")
			}
			if row.see != "" {
				wantSee(t, res, row.see)
				if !f.device.Phone || f.ip != "203.0.113.9" {
					t.Errorf("handed on device %+v, ip %q", f.device, f.ip)
				}
				return
			}
			wantStatus(t, res, row.code)
			body := bodyOf(t, res)
			wantText(t, body, row.says)
			wantNoText(t, body, "secret detail")
			checkPage(t, res, body)
		})
	}
}

func TestGoPrefetchOpensNothing(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]string{"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch", "X-Moz": "prefetch"} {
		f := newFake(gateway.PhaseChoose)
		f.leave = gateway.Leave{ToProcess: true}
		wantStatus(t, do(t, f, request{path: goPath, header: map[string]string{name: value}}), http.StatusNoContent)
		if f.count("Go") != 0 {
			t.Errorf("%s: %s opened an attempt", name, value)
		}
	}
}

func TestGoForm(t *testing.T) {
	t.Parallel()
	f := newFake(gateway.PhaseChoose)
	f.leave = gateway.Leave{FormHTML: `<form method="post" action="https://pay.example/gateway.do"><input type="hidden" name="a" value="&lt;1"></form>`}
	res := do(t, f, request{path: goPath})
	wantStatus(t, res, http.StatusOK)
	body := bodyOf(t, res)
	wantText(t, body, `action="https://pay.example/gateway.do"`, `value="&lt;1"`, ">继续</button></form>", "/payment/assets/form.")
	policy := res.Header.Get("Content-Security-Policy")
	if !strings.Contains(policy, "form-action https://pay.example https://pay2.example;") || strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		path   string
		header map[string]string
		err    error
		code   int
		backs  int
	}{
		{name: "same origin", header: map[string]string{"Sec-Fetch-Site": "same-origin"}, code: 303, backs: 1},
		{name: "an old browser on our no-referrer page", header: map[string]string{"Origin": "null"}, code: 303, backs: 1},
		{name: "an old browser, own origin", header: map[string]string{"Origin": "http://gateway.example"}, code: 303, backs: 1},
		{name: "paid meanwhile", err: &gateway.Error{Code: gateway.CodePaymentNotOpen}, code: 303, backs: 1},
		{name: "A91 another site", header: map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, code: 403},
		{name: "A91 another site that hides its origin", header: map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "null"}, code: 403},
		{name: "A91 another origin in an old browser", header: map[string]string{"Origin": "https://evil.example"}, code: 403},
		{name: "A95 unknown token", path: "/payment/cancel/" + absent, code: 404, backs: 1},
		{name: "A95 token of another shape", path: "/payment/cancel/1", code: 404},
		{name: "database away", err: &gateway.Error{Code: gateway.CodeBusy}, code: 503, backs: 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(gateway.PhaseScan)
			f.err = row.err
			if row.path == "" {
				row.path = "/payment/cancel/" + token
			}
			res := do(t, f, request{method: http.MethodPost, path: row.path, header: row.header})
			if row.code == http.StatusSeeOther {
				wantSee(t, res, "/payment/process/"+token)
			} else {
				wantStatus(t, res, row.code)
			}
			if n := f.count("Back"); n != row.backs {
				t.Errorf("Back called %d times, want %d", n, row.backs)
			}
		})
	}
	t.Run("GET cancels nothing", func(t *testing.T) {
		t.Parallel()
		f := newFake(gateway.PhaseScan)
		wantStatus(t, do(t, f, request{path: "/payment/cancel/" + token}), http.StatusNotFound)
		if f.count("Back") != 0 {
			t.Error("Back was called")
		}
	})
}
