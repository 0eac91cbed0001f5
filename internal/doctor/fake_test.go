package doctor_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/config"
	"piaohao/internal/doctor"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
)

// fake is a driver that says what a row wants said: what real drivers do not, or not yet.
type fake struct {
	Key   secret.Text `env:"WECHAT_FAKE_KEY" key:"private"`
	Extra secret.Text `env:"WECHAT_FAKE_EXTRA"`
	Word  secret.Text `env:"WECHAT_FAKE_WORD" weak:"true"`
	Plain string      `env:"WECHAT_FAKE_ID"`

	found   []channel.Finding
	ack     string // body of a refusal of 200; "" = WeChat Pay's
	build   error
	refresh error
	fetch   string // what Refresh gets from the platform first
	http    *http.Client
	query   error
	state   pay.State

	asked *[]pay.Attempt
	order *[]string
}

func (f *fake) Identity() (appID, merchantID string) { return f.Plain, "" }
func (f *fake) Inspect(time.Time) []channel.Finding  { return f.found }
func (f *fake) Variant() string                      { return "way" }

func (f *fake) Ack(bool) channel.Reply {
	if f.ack != "" {
		return channel.Reply{Status: 200, Body: f.ack}
	}
	return channel.Reply{Status: 400, Body: `{"code":"FAIL","message":"失败"}`}
}

func (*fake) Read(channel.Inbound) (pay.Observation, error) {
	return pay.Observation{}, errors.New("unused")
}

func (*fake) Open(context.Context, pay.Attempt) (pay.Shape, error) {
	return pay.Shape{}, errors.New("doctor opens nothing")
}

func (*fake) Close(context.Context, pay.Attempt) (pay.Observation, error) {
	return pay.Observation{}, errors.New("doctor closes nothing")
}

func (f *fake) Refresh(context.Context) (time.Time, error) {
	*f.order = append(*f.order, "refresh")
	if f.fetch != "" {
		res, err := f.http.Get(f.fetch)
		if err != nil {
			return time.Time{}, err
		}
		_ = res.Body.Close()
	}
	return time.Time{}, f.refresh
}

func (f *fake) Query(_ context.Context, a pay.Attempt) (pay.Observation, error) {
	*f.order = append(*f.order, "query")
	*f.asked = append(*f.asked, a)
	return pay.Observation{State: f.state}, f.query
}

// fakes puts f in the place of the world's WeChat Pay account.
func (w *world) fakes(f *fake) *fake { return w.fakesAt(wechatAccount, f) }

func (w *world) fakesAt(i int, f *fake) *fake {
	f.asked, f.order = &[]pay.Attempt{}, &[]string{}
	if f.state == "" {
		f.state = pay.Absent
	}
	a := w.account(i)
	a.Settings, a.Account = f, channel.Account{ID: "fake", AppID: "app", MerchantID: "merchant", Livemode: true}
	a.Driver.New = func(_ channel.Settings, env channel.Env) (channel.Channel, error) {
		f.http = env.HTTP
		return f, f.build
	}
	return f
}

func TestOneQuestion(t *testing.T) {
	t.Parallel()
	w := good(t)
	w.in.Online = true
	f := w.fakes(&fake{Key: secret.New("canary key"), Extra: secret.New("canary extra"), Word: secret.New("canary word")})
	r := w.examine(t)
	if got := strings.Join(*f.order, " "); got != "refresh query" {
		t.Errorf("the channel was asked %q", got)
	}
	a := (*f.asked)[0]
	if !strings.HasPrefix(a.OutTradeNo, "doctor") || len(a.OutTradeNo) != 32 || a.Variant != "way" || a.Account != "fake" || a.AppID != "app" ||
		a.MerchantID != "merchant" {
		t.Errorf("asked about %+v", a)
	}
	var unprovable []string
	for _, x := range r.Accounts[wechatAccount].Findings {
		if x.Code == "not_provable" {
			unprovable = append(unprovable, x.Setting)
		}
	}
	if got := strings.Join(unprovable, " "); got != "WECHAT_FAKE_EXTRA" {
		t.Errorf("not provable: %q", got)
	}
	w.answers("/list", 200, "sealed")
	f.fetch = "https://platform.test/list"
	if r := w.examine(t); contains(findings(r.Accounts[wechatAccount]), "not_provable") {
		t.Error("what opens with the key proves it")
	}
	if b := (*f.asked)[1]; a.OutTradeNo == b.OutTradeNo {
		t.Error("the same number twice")
	}
}

func contains(codes, code string) bool { return slices.Contains(strings.Fields(codes), code) }

// findings are the codes of an account.
func findings(a doctor.Account) string {
	var codes []string
	for _, f := range a.Findings {
		codes = append(codes, f.Code)
	}
	return strings.Join(codes, " ")
}

func TestOnlineChannels(t *testing.T) {
	t.Parallel()
	said := func(code string) error {
		return &channel.Error{Kind: channel.Unknown, Op: "query", Code: code, Text: "a text"}
	}
	run(t, true, []broken{
		{"the channel cannot be built", func(w *world) {
			w.fakes(&fake{build: errors.New("WECHAT_FAKE_ID: is wrong")})
		}, bad, "unusable", "", "mend"},
		{"the keys cannot be fetched", func(w *world) {
			w.fakes(&fake{Key: secret.New("canary"), refresh: said("SIGN_ERROR")})
		}, bad, "key_refused", "WECHAT_FAKE_KEY", "private key"},
		{"P3: a new merchant number without platform certificates", func(w *world) {
			w.fakes(&fake{refresh: said("no_certificate")})
		}, bad, "needs_public_key", "", "WECHAT_PUBLIC_KEY_ID"},
		{"P2: the APIv3 key is another's, in certificate mode", func(w *world) {
			w.fakes(&fake{refresh: said("api_v3_key")})
		}, bad, "api_v3_key_wrong", "", "APIv3密钥"},
		{"P2: the APIv2 key is another's", func(w *world) {
			w.fakes(&fake{Extra: secret.New("canary extra"), query: &channel.Error{Code: "return_code", Text: "签名错误，请检查后再试"}})
		}, bad, "key_refused", "WECHAT_FAKE_EXTRA", "merchant key"},
		{"an order that exists", func(w *world) { w.fakes(&fake{state: pay.Unpaid}) }, bad, "strange_answer", "", "report"},
		{"the answer names another key", func(w *world) { w.fakes(&fake{query: said("serial")}) }, bad, "answer_other_key", "", "微信支付公钥"},
		{"an error that is no channel's", func(w *world) { w.fakes(&fake{query: errors.New("odd")}) }, bad, "query_failed", "", "again"},
		{"settings at fault are not asked about", func(w *world) {
			w.fakes(&fake{
				build: errors.New("never built"),
				found: []channel.Finding{{Level: bad, Code: "own_public_key", Setting: "WECHAT_FAKE_ID", Text: "is your own", Cure: "take theirs"}},
			})
		}, bad, "own_public_key", "WECHAT_FAKE_ID", "take theirs"},
		{"what Load and the driver both found, once", func(w *world) {
			f := channel.Finding{Level: bad, Code: "own_public_key", Setting: "WECHAT_FAKE_ID", Text: "is your own", Cure: "take theirs"}
			w.fakes(&fake{build: errors.New("never built"), found: []channel.Finding{f}})
			w.in.Err = config.Problems{{Setting: f.Setting, Code: f.Code, Text: f.Text, Cure: f.Cure}}
			w.in.Online = false
		}, bad, "own_public_key", "WECHAT_FAKE_ID", "take theirs"},
	})
}

// A driver or a platform that repeats a secret, or that writes to the terminal, is stopped by doctor.
func TestA100A103TextsOfOthers(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		fake fake
	}{
		{"A100 a finding with a line of a key", fake{
			found: []channel.Finding{{Level: doubt, Code: "odd", Text: "has canary0line2canary in it", Cure: "remove canary0line2canary"}},
		}},
		{"A100 a platform that repeats the key", fake{
			query: &channel.Error{Kind: channel.Unknown, Op: "query", Code: "ODD", Text: "canary0line1canary"},
		}},
		{"A100 an error of New", fake{build: errors.New("canary0line1canary")}},
		{"A100 a secret that is no key", fake{build: errors.New("canary0extra0canary")}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := good(t)
			w.in.Online = true
			row.fake.Key, row.fake.Extra = secret.New("canary0line1canary\ncanary0line2canary\n"), secret.New("canary0extra0canary")
			w.fakes(&row.fake)
			if got := faults(w.examine(t)); len(got) != 1 || !strings.Contains(got[0].Text, "[secret]") {
				t.Errorf("%+v", got)
			}
		})
	}
	t.Run("A103 a platform that writes lines and colours", func(t *testing.T) {
		t.Parallel()
		w := good(t)
		w.in.Online = true
		w.fakes(&fake{query: &channel.Error{Kind: channel.Unknown, Op: "query", Code: "ODD", Text: "\x1b[2J\n  ✓ all well"}})
		var out strings.Builder
		if err := w.examine(t).Print(&out); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out.String(), "\x1b") || strings.Contains(out.String(), "\n  ✓ all well") {
			t.Errorf("forged:\n%s", out.String())
		}
	})
	t.Run("A100 the address of a redirect", func(t *testing.T) {
		t.Parallel()
		w := good(t)
		w.in.Online = true
		w.only("/", http.RedirectHandler("https://user:canary@www.shop.test/canary?token=canary", http.StatusFound).ServeHTTP)
		if got := faults(w.examine(t)); len(got) != 1 || !strings.Contains(got[0].Text, "https://www.shop.test)") {
			t.Errorf("%+v", got)
		}
	})
}
