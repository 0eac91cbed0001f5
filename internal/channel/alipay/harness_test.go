package alipay

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/channel/channeltest"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
	"piaohao/internal/strict"
	spec "piaohao/spec/alipay"
)

// pair is a key pair that is made once for all tests of this package.
func pair() func() *rsa.PrivateKey {
	return sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		return key
	})
}

var (
	appKey      = pair() // the merchant's
	alipayKey   = pair() // the platform's
	strangerKey = pair() // somebody else's: another platform, a simulator
)

func privatePEM(key *rsa.PrivateKey) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func publicPEM(key *rsa.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

const (
	testApp     = "2021000000005001"
	testSeller  = "2088000000005001"
	testSim     = "http://gateway.test"
	testGateway = testSim + "/gateway.do"
)

func testConfig() *Config {
	return &Config{
		AppID: testApp, SellerID: testSeller,
		PrivateKey: secret.New(privatePEM(appKey())), PublicKey: publicPEM(&alipayKey().PublicKey),
	}
}

// harness is Alipay as this package's tests play it.
type harness struct{}

func (harness) Info() channel.Info { return Driver.Info }

func (harness) Account() channel.Account {
	return channel.Account{ID: "alipay-test", AppID: testApp, MerchantID: testSeller}
}

func (harness) Secrets() []string {
	key := appKey()
	return []string{
		privatePEM(key), base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key)), key.D.String(), key.Primes[0].String(),
	}
}

func (harness) New(t *testing.T, env channel.Env) channel.Channel {
	t.Helper()
	env.Sim = testSim
	c, err := Driver.New(testConfig(), env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// node writes an answer's node as the platform does: code and msg first, no spaces.
func node(code string, fields ...string) string {
	var b strings.Builder
	b.WriteString(`{"code":"` + code + `","msg":"x"`)
	for i := 0; i < len(fields); i += 2 {
		value, _ := json.Marshal(fields[i+1])
		b.WriteString(`,"` + fields[i] + `":` + string(value))
	}
	return b.String() + "}"
}

// answer signs raw as method's node.
func answer(method, raw string, key *rsa.PrivateKey) channel.Answer {
	signature, err := sign(key, []byte(raw))
	if err != nil {
		panic(err)
	}
	return wire(`{"` + strings.ReplaceAll(method, ".", "_") + `_response":` + raw + `,"sign":"` + signature + `"}`)
}

func wire(body string) channel.Answer {
	return channel.Answer{Status: 200, Header: http.Header{"Content-Type": {"text/html;charset=utf-8"}}, Body: []byte(body)}
}

func tradeNode(a pay.Attempt, status string, more ...string) string {
	return node("10000", append([]string{
		"out_trade_no", a.OutTradeNo, "total_amount", yuan(a.Amount), "trade_no", channeltest.TransactionID, "trade_status", status,
	}, more...)...)
}

func paidNode(a pay.Attempt) string {
	return tradeNode(a, "TRADE_SUCCESS", "receipt_amount", "100.00", "buyer_pay_amount", "100.00",
		"send_pay_date", channeltest.PaidAt.In(zone).Format(timeLayout))
}

func (harness) Answer(_ *testing.T, op string, a pay.Attempt, say channeltest.Say) channel.Answer {
	zeros := []string{"receipt_amount", "0.00", "buyer_pay_amount", "0.00"}
	absent := strings.Replace(spec.AbsentNode, `"X"`, `"`+a.OutTradeNo+`"`, 1)
	raw := map[string]map[channeltest.Say]string{
		"query": {
			channeltest.SayUnpaid:  tradeNode(a, "WAIT_BUYER_PAY", zeros...),
			channeltest.SayPaid:    paidNode(a),
			channeltest.SayClosed:  tradeNode(a, "TRADE_CLOSED", zeros...),
			channeltest.SayAbsent:  absent,
			channeltest.SayLimited: node("40005", "sub_code", "isv.app-call-limited", "out_trade_no", a.OutTradeNo),
		},
		"close": {
			channeltest.SayClosed:  node("10000", "out_trade_no", a.OutTradeNo, "trade_no", channeltest.TransactionID),
			channeltest.SayAbsent:  absent,
			channeltest.SayPaid:    node("40004", "sub_code", "ACQ.TRADE_STATUS_ERROR"),
			channeltest.SayLimited: node("40005", "sub_code", "isv.app-call-limited"),
		},
	}[op][say]
	return answer("alipay.trade."+op, raw, alipayKey())
}

// AnswerRefund leaves out what the platform never says: a refund is made or it is not there.
func (harness) AnswerRefund(_ *testing.T, op string, a pay.Attempt, r pay.Refund, say channeltest.Say) (channel.Answer, bool) {
	moment := channeltest.RefundedAt.In(zone).Format(timeLayout)
	trade := []string{"out_trade_no", a.OutTradeNo, "trade_no", a.TransactionID}
	no := func(code, sub string) string { return node(code, append(trade, "sub_code", sub)...) }
	method := map[string]string{"refund": refundMethod, "query_refund": refundQueryMethod}[op]
	raw := map[string]map[channeltest.Say]string{
		"refund": {
			channeltest.SayRefunded: node("10000", append(trade, "fund_change", "Y", "refund_fee", yuan(r.Amount), "gmt_refund_pay", moment)...),
			channeltest.SayTaken:    node("10000", append(trade, "fund_change", "N", "refund_fee", yuan(r.Amount))...),
			channeltest.SayShort:    no("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH"),
			channeltest.SayDeclined: no("40004", "ACQ.TRADE_HAS_FINISHED"),
			channeltest.SayAbsent:   node("40004", "sub_code", "ACQ.TRADE_NOT_EXIST"),
			channeltest.SayLimited:  no("40005", "isv.app-call-limited"),
			channeltest.SayTrouble:  no("20000", "aop.ACQ.SYSTEM_ERROR"),
		},
		"query_refund": {
			channeltest.SayRefunded: node("10000", append(trade, "out_request_no", r.OutRefundNo, "total_amount", yuan(a.Amount),
				"refund_amount", yuan(r.Amount), "refund_status", "REFUND_SUCCESS", "gmt_refund_pay", moment)...),
			channeltest.SayAbsent:  node("10000"),
			channeltest.SayLimited: no("40005", "isv.app-call-limited"),
			channeltest.SayTrouble: no("20000", "isp.unknow-error"),
		},
	}[op][say]
	if raw == "" {
		return channel.Answer{}, false
	}
	return answer(method, raw, alipayKey()), true
}

// Sums: refund_fee is cumulative (opendocs, alipay.trade.refund); refund_amount of the query is not.
func (harness) Sums(op string) bool { return op == "refund" }

func (harness) Stamps() []string { return []string{"timestamp", "sign"} }

// RefundNotice is the trade's, sent again with what a part of it that went back adds and leaves out.
func (harness) RefundNotice(_ *testing.T, a pay.Attempt, r pay.Refund) channel.Inbound {
	return notice(alipayKey(), with(noticeFields(a), "refund_fee", yuan(r.Amount), "out_biz_no", r.OutRefundNo,
		"gmt_refund", channeltest.RefundedAt.In(zone).Format(timeLayout)+".123", "receipt_amount", "-", "fund_bill_list", "-",
		"invoice_amount", "-", "point_amount", "-"))
}

func (harness) Unsigned(_ *testing.T, a channel.Answer) channel.Answer {
	raw, _, _ := strings.Cut(string(a.Body), `,"sign":`)
	return wire(raw + "}")
}

func (harness) Notice(_ *testing.T, a pay.Attempt) channel.Inbound {
	return notice(alipayKey(), noticeFields(a))
}

// noticeFields are the fields of a real payment notice (spec.TradeNotice), with a's values.
func noticeFields(a pay.Attempt) map[string]string {
	fields := map[string]string{}
	for field := range strings.SplitSeq(spec.TradeNotice.Text, "&") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	fields["app_id"], fields["auth_app_id"], fields["seller_id"] = a.AppID, a.AppID, a.MerchantID
	fields["out_trade_no"], fields["trade_no"] = a.OutTradeNo, channeltest.TransactionID
	fields["total_amount"] = yuan(a.Amount)
	fields["gmt_payment"] = channeltest.PaidAt.In(zone).Format(timeLayout)
	fields["sign_type"] = "RSA2"
	return fields
}

// with returns fields with some of them set, or removed where the value is "-".
func with(fields map[string]string, changes ...string) map[string]string {
	for i := 0; i < len(changes); i += 2 {
		fields[changes[i]] = changes[i+1]
		if changes[i+1] == "-" {
			delete(fields, changes[i])
		}
	}
	return fields
}

// formOf encodes fields with their signature by the rule of notices.
func formOf(key *rsa.PrivateKey, fields map[string]string) string {
	var form strict.Form
	values := url.Values{}
	for name, value := range fields {
		form = append(form, strict.Pair{Name: name, Value: value})
		values.Set(name, value)
	}
	sortFields(form)
	signature, err := sign(key, canonical(form, inMessage))
	if err != nil {
		panic(err)
	}
	values.Set("sign", signature)
	return values.Encode()
}

func notice(key *rsa.PrivateKey, fields map[string]string) channel.Inbound {
	return channel.Inbound{
		Header: http.Header{"Content-Type": {spec.NoticeContentType}}, Body: []byte(formOf(key, fields)),
	}
}

// network is a transport of the tests' own; nil answers nobody.
type network func(*http.Request) (*http.Response, error)

func (n network) RoundTrip(req *http.Request) (*http.Response, error) {
	if n == nil {
		return nil, errors.New("nobody is there")
	}
	return n(req)
}

func clock(now time.Time) func() time.Time { return func() time.Time { return now } }

func testEnv(n network, now time.Time) channel.Env {
	return channel.Env{
		Sim: testSim, Account: harness{}.Account(), HTTP: &http.Client{Transport: n}, Random: rand.Reader, Now: clock(now),
	}
}

func testChannel(t testing.TB, n network) channel.Channel {
	t.Helper()
	return channelOf(t, testConfig(), testEnv(n, channeltest.Now))
}

func channelOf(t testing.TB, config *Config, env channel.Env) channel.Channel {
	t.Helper()
	c, err := Driver.New(config, env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func testAttempt(product int) pay.Attempt {
	return channeltest.Attempt(harness{}, Driver.Info.Products[product])
}

func mustKind(t *testing.T, err error, kind channel.Kind, code string) {
	t.Helper()
	var e *channel.Error
	if !errors.As(err, &e) || e.Kind != kind || (code != "" && e.Code != code) {
		t.Fatalf("error %v, want %s %s", err, kind, code)
	}
}

func decodeBase64(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestConformance(t *testing.T) {
	t.Parallel()
	channeltest.Run(t, harness{})
}
