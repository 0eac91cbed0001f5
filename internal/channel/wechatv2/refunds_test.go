package wechatv2

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"software.sslmate.com/src/go-pkcs12"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
	facts "piaohao/spec/wechat"
)

const refundNo = "01jnz8v0t0q6m7x2c4d5e6f7g9"

var merchantKeys = sync.OnceValue(func() (k [2]*rsa.PrivateKey) {
	for i := range k {
		k[i] = must(rsa.GenerateKey(rand.Reader, 2048))
	}
	return k
})

// issued is a certificate of key for a name, by itself, valid around testNow.
func issued(key *rsa.PrivateKey, name string, from, until time.Duration) *x509.Certificate {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name},
		NotBefore: testNow().Add(from), NotAfter: testNow().Add(until),
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key))))
}

const year = 365 * 24 * time.Hour

func certText(cert *x509.Certificate) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

func keyText(key *rsa.PrivateKey) secret.Text {
	return secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
}

func p12Text(key *rsa.PrivateKey, cert *x509.Certificate, password string) secret.Text {
	return secret.New(base64.StdEncoding.EncodeToString(must(pkcs12.LegacyDES.Encode(key, cert, nil, password))))
}

// able adds a merchant API certificate to settings.
func able(cfg *Config) {
	cfg.PrivateKey, cfg.MchCert = keyText(merchantKeys()[0]), merchantCert()
}

var merchantCert = sync.OnceValue(func() string {
	return certText(issued(merchantKeys()[0], facts.V2MerchantID, -time.Hour, year))
})

func paidAttempt(variant string) pay.Attempt {
	a := testAttempt(variant)
	a.Status, a.TransactionID = pay.AttemptPaid, facts.V2TransactionID
	return a
}

func testRefund() pay.Refund {
	return pay.Refund{OutRefundNo: refundNo, Amount: 40, Reason: "商品&运费\x00"}
}

var (
	refundDone = []facts.Field{
		{Name: "return_code", Value: "SUCCESS"},
		{Name: "return_msg", Value: "OK"},
		{Name: "appid", Value: facts.V2AppID},
		{Name: "mch_id", Value: facts.V2MerchantID},
		{Name: "result_code", Value: "SUCCESS"},
		{Name: "transaction_id", Value: facts.V2TransactionID},
		{Name: "out_trade_no", Value: facts.V2OutTradeNo},
		{Name: "total_fee", Value: "888"},
		{Name: "cash_fee", Value: "888"},
	}
	// What 申请退款 and 查询退款 answer.
	refundAccepted = append(refundDone[:len(refundDone):len(refundDone)], []facts.Field{
		{Name: "out_refund_no", Value: refundNo},
		{Name: "refund_id", Value: "50000404922017112502468056157"},
		{Name: "refund_fee", Value: "40"},
		{Name: "cash_refund_fee", Value: "40"},
	}...)
	refundListed = append(refundDone[:len(refundDone):len(refundDone)], []facts.Field{
		{Name: "refund_count", Value: "1"},
		{Name: "out_refund_no_0", Value: refundNo},
		{Name: "refund_id_0", Value: "50000404922017112502468056157"},
		{Name: "refund_fee_0", Value: "40"},
		{Name: "refund_status_0", Value: "SUCCESS"},
		{Name: "refund_recv_accout_0", Value: "支付用户零钱"},
		{Name: "refund_success_time_0", Value: "2014-09-03 13:15:59"},
	}...)
)

func refused(code string) []facts.Field {
	return append(refundDone[:4:4], []facts.Field{
		{Name: "result_code", Value: "FAIL"},
		{Name: "err_code", Value: code},
		{Name: "err_code_des", Value: "不可以"},
	}...)
}

// refundPlatform is a platform of two doors: one that asks for a certificate of its merchant's, as /secapi does, and one
// that does not.
type refundPlatform struct {
	variant string
	body    string
	status  int
	got     chan map[string]string
}

func serveRefunds(t *testing.T, variant, body string, change func(*Config, *channel.Env)) (*client, *refundPlatform) {
	t.Helper()
	p := &refundPlatform{variant: variant, body: body, status: 200, got: make(chan map[string]string, 4)}
	answer := func(w http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		fields := checkRequest(t, req, variant, text)
		fields["raw"] = string(text)
		p.got <- fields
		w.WriteHeader(p.status)
		_, _ = io.WriteString(w, p.body)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasPrefix(req.URL.Path, "/secapi/") {
			t.Errorf("%s shows no certificate", req.URL.Path)
		}
		answer(w, req)
	}))
	t.Cleanup(plain.Close)
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if name := req.TLS.PeerCertificates[0].Subject.CommonName; name != facts.V2MerchantID || req.URL.Path != "/secapi/pay/refund" {
			t.Errorf("%s shows a certificate of %s", req.URL.Path, name)
		}
		answer(w, req)
	}))
	secure.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS12}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	return build(t, func(cfg *Config, env *channel.Env) {
		able(cfg)
		env.Sim, env.SimSecure = plain.URL, secure.URL
		env.Certified = func(cert tls.Certificate) *http.Client {
			over := secure.Client().Transport.(*http.Transport).Clone()
			over.TLSClientConfig.Certificates = []tls.Certificate{cert}
			return &http.Client{Transport: over}
		}
		if change != nil {
			change(cfg, env)
		}
	}), p
}

func askRefund(t *testing.T, c *client, op, variant string) (pay.Observation, error) {
	t.Helper()
	if op == "refund" {
		return c.Refund(t.Context(), paidAttempt(variant), testRefund())
	}
	return c.QueryRefund(t.Context(), paidAttempt(variant), testRefund())
}

// refundOutcome is a fact's status, or an error's kind and code.
func refundOutcome(obs pay.Observation, err error) string {
	if err == nil && obs.Refund != nil {
		return string(obs.Refund.Status)
	}
	kind, code := kindOf(err)
	return string(kind) + " " + code
}

// The request's bytes are fixed: a repeat of a stored refund must be the identical request, whatever version sends it.
func TestRefundRequests(t *testing.T) {
	t.Parallel()
	golden := map[string]string{
		"MD5 refund":               `<xml><appid>wx2421b1c4370ec43b</appid><mch_id>10000100</mch_id><nonce_str>6DFD6AFF109BFE9DABD70242C684055A</nonce_str><notify_url>https://www.weixin.qq.com/wxpay/pay.php</notify_url><out_refund_no>01jnz8v0t0q6m7x2c4d5e6f7g9</out_refund_no><refund_desc>商品＆运费</refund_desc><refund_fee>40</refund_fee><sign_type>MD5</sign_type><total_fee>888</total_fee><transaction_id>1004400740201409030005092168</transaction_id><sign>8156C478888AD3C32DDF7DFAD1B693B9</sign></xml>`,
		"MD5 query_refund":         `<xml><appid>wx2421b1c4370ec43b</appid><mch_id>10000100</mch_id><nonce_str>FFE2FCDC9E8B91FE5E05AFD426CBE995</nonce_str><out_refund_no>01jnz8v0t0q6m7x2c4d5e6f7g9</out_refund_no><sign_type>MD5</sign_type><sign>15D6DE643461DD6421FBBBBA180B500A</sign></xml>`,
		"HMAC-SHA256 refund":       `<xml><appid>wx2421b1c4370ec43b</appid><mch_id>10000100</mch_id><nonce_str>6DFD6AFF109BFE9DABD70242C684055A</nonce_str><notify_url>https://www.weixin.qq.com/wxpay/pay.php</notify_url><out_refund_no>01jnz8v0t0q6m7x2c4d5e6f7g9</out_refund_no><refund_desc>商品＆运费</refund_desc><refund_fee>40</refund_fee><sign_type>HMAC-SHA256</sign_type><total_fee>888</total_fee><transaction_id>1004400740201409030005092168</transaction_id><sign>CCBAEB44338EBCBFC2518765EB4540BA704D2729CBE89A80E82423C0EADB6D62</sign></xml>`,
		"HMAC-SHA256 query_refund": `<xml><appid>wx2421b1c4370ec43b</appid><mch_id>10000100</mch_id><nonce_str>FFE2FCDC9E8B91FE5E05AFD426CBE995</nonce_str><out_refund_no>01jnz8v0t0q6m7x2c4d5e6f7g9</out_refund_no><sign_type>HMAC-SHA256</sign_type><sign>C8170E4BDBB7A508CEC91825FF09AB1514EF11D88264BE2102CDB5DFA4438C13</sign></xml>`,
	}
	for _, variant := range variants {
		for op, answer := range map[string][]facts.Field{"refund": refundAccepted, "query_refund": refundListed} {
			c, p := serveRefunds(t, variant, xmlOf("xml", signed(variant, answer)), nil)
			for range 2 {
				if _, err := askRefund(t, c, op, variant); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(golden[variant+" "+op], (<-p.got)["raw"]); diff != "" {
					t.Errorf("A70 %s %s: %s", variant, op, diff)
				}
			}
		}
	}
	c, p := serveRefunds(t, "MD5", xmlOf("xml", signed("MD5", refundAccepted)), nil)
	for _, tt := range []struct{ name, reason, want string }{
		{"no reason", "", ""},
		{"a reason of nothing that shows", "\u200b\x01", ""},
		{"a long reason", strings.Repeat("退", 40), strings.Repeat("退", 26)}, // 78 bytes
	} {
		r := testRefund()
		r.Reason = tt.reason
		_, _ = c.Refund(t.Context(), paidAttempt("MD5"), r)
		got := <-p.got
		if got["refund_desc"] != tt.want || tt.want == "" && strings.Contains(got["raw"], "refund_desc") {
			t.Errorf("%s: %s", tt.name, got["raw"])
		}
	}
	unpaid := paidAttempt("MD5")
	unpaid.TransactionID = ""
	if got := refundOutcome(c.Refund(t.Context(), unpaid, testRefund())); got != "unable transaction_id" || len(p.got) != 0 {
		t.Errorf("A72 refund of an attempt without a transaction: %s", got)
	}
}

func TestRefundAnswers(t *testing.T) {
	t.Parallel()
	for i, tt := range []struct {
		name, op string
		answer   []facts.Field
		want     string
	}{
		{"accepted", "refund", refundAccepted, "processing"},
		{"another account", "refund", set(refundAccepted, "mch_id", "1900000001"), "unknown identity"},
		{"another refund", "refund", set(refundAccepted, "out_refund_no", "other"), "unknown out_refund_no"},
		{"another transaction", "refund", set(refundAccepted, "transaction_id", "42"), "unknown transaction_id"},
		{"another order", "refund", set(refundAccepted, "out_trade_no", "42"), "unknown out_trade_no"},
		{"another amount", "refund", set(refundAccepted, "refund_fee", "41"), "unknown refund_fee"},
		{"A50 an amount with a point", "refund", set(refundAccepted, "refund_fee", "40.0"), "unknown refund_fee"},
		{"no amount", "refund", without(refundAccepted, "refund_fee"), "unknown refund_fee"},
		{"another total", "refund", set(refundAccepted, "total_fee", "800"), "unknown total_fee"},
		{"another currency", "refund", set(refundAccepted, "fee_type", "USD"), "unknown fee_type"},
		{"a list for an answer", "refund", refundListed, "unknown out_refund_no"},
		{"balance short", "refund", refused("NOTENOUGH"), "short NOTENOUGH"},
		{"no such app", "refund", refused("APPID_NOT_EXIST"), "unable APPID_NOT_EXIST"},
		{"no such merchant", "refund", refused("MCHID_NOT_EXIST"), "unable MCHID_NOT_EXIST"},
		{"A72 after a year", "refund", refused("TRADE_OVERDUE"), "declined TRADE_OVERDUE"},
		{"A72 more than is left", "refund", refused("ERROR"), "declined ERROR"},
		{"payer's account closed", "refund", refused("USER_ACCOUNT_ABNORMAL"), "declined USER_ACCOUNT_ABNORMAL"},
		{"parameter", "refund", refused("PARAM_ERROR"), "declined PARAM_ERROR"},
		{"shut out for a minute", "refund", refused("INVALID_REQ_TOO_MUCH"), "limited INVALID_REQ_TOO_MUCH"},
		{"A74 limited", "refund", refused("FREQUENCY_LIMITED"), "limited FREQUENCY_LIMITED"},
		{"A74 failing", "refund", refused("SYSTEMERROR"), "unknown SYSTEMERROR"},
		{"A74 to be repeated", "refund", refused("BIZERR_NEED_RETRY"), "unknown BIZERR_NEED_RETRY"},
		{"no such transaction", "refund", refused("INVALID_TRANSACTIONID"), "unknown INVALID_TRANSACTIONID"},
		{"no such order", "refund", refused("ORDERNOTEXIST"), "unknown ORDERNOTEXIST"},
		{"not there is no answer to sending", "refund", refused("REFUNDNOTEXIST"), "unknown REFUNDNOTEXIST"},
		{"A23 balance of another account", "refund", set(refused("NOTENOUGH"), "mch_id", "1900000001"), "unknown identity"},

		{"succeeded", "query_refund", refundListed, "succeeded"},
		{"processing", "query_refund", set(refundListed, "refund_status_0", "PROCESSING"), "processing"},
		{"closed", "query_refund", set(refundListed, "refund_status_0", "REFUNDCLOSE"), "failed"},
		{"abnormal", "query_refund", set(refundListed, "refund_status_0", "CHANGE"), "abnormal"},
		{"A27 a status that is not listed", "query_refund", set(refundListed, "refund_status_0", "FAIL"), "unknown status"},
		{"A27 no status", "query_refund", without(refundListed, "refund_status_0"), "unknown status"},
		{"not there", "query_refund", refused("REFUNDNOTEXIST"), "pending"},
		{"A23 not there in another account", "query_refund", set(refused("REFUNDNOTEXIST"), "appid", "wx0000000000000001"), "unknown identity"},
		{"no such transaction when asked", "query_refund", refused("INVALID_TRANSACTIONID"), "unknown INVALID_TRANSACTIONID"},
		{"failing when asked", "query_refund", refused("SYSTEMERROR"), "unknown SYSTEMERROR"},
		{"another account's list", "query_refund", set(refundListed, "appid", "wx0000000000000001"), "unknown identity"},
		{"another refund's list", "query_refund", set(refundListed, "out_refund_no_0", "other"), "unknown out_refund_no"},
		{"ours second in a list", "query_refund", set(set(refundListed, "out_refund_no_0", "other"), "out_refund_no_1", refundNo), "unknown out_refund_no"},
		{"another amount in the list", "query_refund", set(refundListed, "refund_fee_0", "41"), "unknown refund_fee"},
		{"another total in the list", "query_refund", set(refundListed, "total_fee", "8880"), "unknown total_fee"},
		{"an answer to sending for a list", "query_refund", refundAccepted, "unknown out_refund_no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			variant := variants[i%len(variants)]
			c, _ := serveRefunds(t, variant, xmlOf("xml", signed(variant, tt.answer)), nil)
			obs, err := askRefund(t, c, tt.op, variant)
			if got := refundOutcome(obs, err); got != tt.want {
				t.Fatalf("came to %q, want %q", got, tt.want)
			}
			if err != nil {
				return
			}
			want := c.known(pay.FromRefund, paidAttempt(variant), pay.Unknown)
			want.Refund = &pay.RefundFact{OutRefundNo: refundNo, Amount: 40, Status: pay.RefundStatus(tt.want)}
			if tt.op == "query_refund" && tt.want != "pending" {
				want.Refund.At = time.Date(2014, 9, 3, 5, 15, 59, 0, time.UTC)
			}
			if diff := cmp.Diff(want, obs); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A12: what nobody signed decides nothing about a refund; least of all "not there", after which it would be sent again.
func TestA12UnsignedAnswersAboutRefunds(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string][]facts.Field{
		"A12 accepted": refundAccepted, "A12 succeeded": refundListed, "A12 not there": refused("REFUNDNOTEXIST"),
		"A12 balance short": refused("NOTENOUGH"), "A12 declined": refused("ERROR"),
		"A12 no certificate": {{Name: "return_code", Value: "FAIL"}, {Name: "return_msg", Value: "证书校验错误"}},
	} {
		for _, op := range []string{"refund", "query_refund"} {
			c, _ := serveRefunds(t, "MD5", xmlOf("xml", answer), nil)
			if obs, err := askRefund(t, c, op, "MD5"); err == nil || !strings.HasPrefix(refundOutcome(obs, err), "unknown ") {
				t.Errorf("%s, %s: %+v, %v", name, op, obs, err)
			}
		}
		// signed in the other way is not signed
		c, _ := serveRefunds(t, "MD5", xmlOf("xml", signed("HMAC-SHA256", answer)), nil)
		if obs, err := askRefund(t, c, "refund", "MD5"); err == nil || !strings.HasPrefix(refundOutcome(obs, err), "unknown ") {
			t.Errorf("%s in another way: %+v, %v", name, obs, err)
		}
	}
}

// A refund is sent only with a certificate that counts, to the door that asks for it; nothing is sent else.
func TestRefundNeedsTheCertificate(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config, *channel.Env){
		"without a certificate":           func(c *Config, _ *channel.Env) { c.MchCert = "" },
		"without its key":                 func(c *Config, _ *channel.Env) { c.PrivateKey = secret.Text{} },
		"without a client that shows it":  func(_ *Config, e *channel.Env) { e.Certified = nil },
		"at a simulator without the door": func(_ *Config, e *channel.Env) { e.SimSecure = "" },
		"with one that has expired": func(c *Config, _ *channel.Env) {
			c.MchCert = certText(issued(merchantKeys()[0], facts.V2MerchantID, -year, -time.Minute))
		},
		"with one that is to come": func(c *Config, _ *channel.Env) {
			c.MchCert = certText(issued(merchantKeys()[0], facts.V2MerchantID, time.Minute, year))
		},
	} {
		c, p := serveRefunds(t, "MD5", xmlOf("xml", signed("MD5", refundAccepted)), change)
		if obs, err := askRefund(t, c, "refund", "MD5"); refundOutcome(obs, err) != "unable no_certificate" || c.CanRefund() || len(p.got) != 0 {
			t.Errorf("%s: %+v, %v", name, obs, err)
		}
	}
	c, p := serveRefunds(t, "MD5", xmlOf("xml", signed("MD5", refundAccepted)), func(c *Config, _ *channel.Env) {
		key := merchantKeys()[0]
		c.PrivateKey, c.MchCert = secret.Text{}, ""
		c.P12 = p12Text(key, issued(key, facts.V2MerchantID, -time.Hour, year), facts.V2MerchantID)
	})
	if obs, err := askRefund(t, c, "refund", "MD5"); refundOutcome(obs, err) != "processing" || !c.CanRefund() || len(p.got) != 1 {
		t.Errorf("with a PKCS#12 file: %+v, %v", obs, err)
	}
	<-p.got
	c.env.Now = func() time.Time { return testNow().Add(year) } // it expires while we run
	if obs, err := askRefund(t, c, "refund", "MD5"); refundOutcome(obs, err) != "unable no_certificate" || c.CanRefund() || len(p.got) != 0 {
		t.Errorf("with one that expired since the start: %+v, %v", obs, err)
	}
	// Asking shows none, and live accounts show it to the platform's own hosts.
	if live := build(t, func(cfg *Config, e *channel.Env) {
		able(cfg)
		e.Sim, e.Account.Livemode = "", true
		e.Certified = func(tls.Certificate) *http.Client { return http.DefaultClient }
	}); live.secure != "https://api.mch.weixin.qq.com" || !live.CanRefund() {
		t.Errorf("A18 live refunds go to %q", live.secure)
	}
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	mine, other := merchantKeys()[0], merchantKeys()[1]
	cert := func(from, until time.Duration) string { return certText(issued(mine, facts.V2MerchantID, from, until)) }
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   []string // under APIv2's own names likewise
	}{
		{"none", func(c *Config) {}, []string{"warn no_certificate "}},
		{"both files", able, []string{"ok certificate WECHAT_MCH_CERT"}},
		{"PKCS#12", func(c *Config) {
			c.MchP12 = p12Text(mine, issued(mine, facts.V2MerchantID, -time.Hour, year), facts.V2MerchantID)
		}, []string{"ok certificate WECHAT_MCH_P12"}},
		{"PKCS#12 beside its own files", func(c *Config) {
			able(c)
			c.MchP12 = p12Text(mine, issued(mine, facts.V2MerchantID, -time.Hour, year), facts.V2MerchantID)
		}, []string{"ok certificate WECHAT_MCH_CERT"}},
		{"PKCS#12 of another key", func(c *Config) {
			able(c)
			c.MchP12 = p12Text(other, issued(other, facts.V2MerchantID, -time.Hour, year), facts.V2MerchantID)
		}, []string{"error key_mismatch WECHAT_MCH_P12"}},
		{"PKCS#12 of another password", func(c *Config) {
			c.MchP12 = p12Text(mine, issued(mine, facts.V2MerchantID, -time.Hour, year), "1900000001")
		}, []string{"error p12_password WECHAT_MCH_P12"}},
		{"PKCS#12 that is none", func(c *Config) { c.MchP12 = secret.New("aGVsbG8=") }, []string{"error key_unreadable WECHAT_MCH_P12"}},
		{"a pair of two", func(c *Config) { able(c); c.PrivateKey = keyText(other) }, []string{"error key_mismatch WECHAT_MCH_CERT"}},
		{"swapped", func(c *Config) {
			able(c)
			c.PrivateKey, c.MchCert = secret.New(c.MchCert), c.PrivateKey.Reveal()
		}, []string{"error key_kind WECHAT_MCH_PRIVATE_KEY", "error key_kind WECHAT_MCH_CERT"}},
		{"a key that is none", func(c *Config) { able(c); c.PrivateKey = secret.New("hunter2hunter2") }, []string{"error key_unreadable WECHAT_MCH_PRIVATE_KEY"}},
		{"expired", func(c *Config) { able(c); c.MchCert = cert(-year, -time.Hour) }, []string{"warn expired WECHAT_MCH_CERT"}},
		{"to come", func(c *Config) { able(c); c.MchCert = cert(time.Hour, year) }, []string{"warn expired WECHAT_MCH_CERT"}},
		{"ending soon", func(c *Config) { able(c); c.MchCert = cert(-year, 24*time.Hour) }, []string{"warn expires_soon WECHAT_MCH_CERT"}},
		{"another merchant's", func(c *Config) {
			able(c)
			c.MchCert = certText(issued(mine, "1900000001", -time.Hour, year))
		}, []string{"ok certificate WECHAT_MCH_CERT", "warn other_merchant WECHAT_MCH_CERT"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig()
			tt.change(cfg)
			inspects(t, cfg, tt.want)
			var own []string
			for _, line := range tt.want {
				own = append(own, strings.Replace(line, "WECHAT_MCH_", "WECHAT_V2_", 1))
			}
			inspects(t, renamed(cfg), own)
		})
	}
}

// renamed is cfg with the certificate under APIv2's own names.
func renamed(cfg *Config) *Config {
	own := *cfg
	own.Cert, own.Key, own.P12 = cfg.MchCert, cfg.PrivateKey, cfg.MchP12
	own.MchCert, own.PrivateKey, own.MchP12 = "", secret.Text{}, secret.Text{}
	return &own
}

// inspects holds what is said of cfg's certificate against level, code and setting of each finding.
func inspects(t *testing.T, cfg *Config, want []string) {
	t.Helper()
	var got []string
	for _, f := range cfg.Inspect(testNow()) {
		if f.Code == "api_v2" {
			continue
		}
		got = append(got, string(f.Level)+" "+f.Code+" "+f.Setting)
		if f.Text == "" || (f.Cure == "") != (f.Level == channel.LevelOK) || strings.Contains(f.String(), "hunter2") || strings.Contains(f.String(), "PRIVATE KEY-") {
			t.Errorf("%+v", f)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := New(cfg, testEnv()); (err != nil) != strings.HasPrefix(want[0], "error") {
		t.Errorf("New: %v", err)
	}
}

// Half of what APIv2 alone was given is a fault; half of what APIv3 has is how APIv3 may be set up.
func TestHalfACertificate(t *testing.T) {
	t.Parallel()
	mine, other := merchantKeys()[0], merchantKeys()[1]
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
		cure   string // what it names first
	}{
		{"nothing", func(*Config) {}, "warn no_certificate ", "set WECHAT_V2_CERT "},
		{"APIv3's key alone, as APIv3 may have it", func(c *Config) { c.PrivateKey = keyText(mine) }, "warn no_certificate ", "set WECHAT_MCH_CERT "},
		{"APIv3's certificate alone", func(c *Config) { c.MchCert = merchantCert() }, "warn no_certificate WECHAT_MCH_PRIVATE_KEY", "set WECHAT_MCH_CERT "},
		{"its own key alone", func(c *Config) { c.Key = keyText(mine) }, "error missing WECHAT_V2_CERT", "set WECHAT_V2_CERT "},
		{"its own certificate alone", func(c *Config) { c.Cert = merchantCert() }, "error missing WECHAT_V2_PRIVATE_KEY", "set WECHAT_V2_CERT "},
		{"its own certificate alone beside APIv3's pair", func(c *Config) { able(c); c.Cert = merchantCert() }, "error missing WECHAT_V2_PRIVATE_KEY", "set WECHAT_V2_CERT "},
		{"its own pair beside another of APIv3's", func(c *Config) {
			c.PrivateKey, c.MchCert = keyText(other), certText(issued(other, "1900000001", -time.Hour, year))
			c.Key, c.Cert = keyText(mine), merchantCert()
		}, "ok certificate WECHAT_V2_CERT", ""},
	} {
		cfg := testConfig()
		tt.change(cfg)
		inspects(t, cfg, []string{tt.want})
		found := cfg.Inspect(testNow())
		if cure := found[len(found)-1].Cure; !strings.HasPrefix(cure, tt.cure) {
			t.Errorf("%s: the cure is %q", tt.name, cure)
		}
	}
}
