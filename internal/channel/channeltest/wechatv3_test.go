package channeltest_test

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/channel/channeltest"
	"piaohao/internal/channel/wechatv3"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
)

// wechat is WeChat Pay as this suite plays it. Answers and notices are signed over "timestamp\nnonce\nbody\n".
type wechat struct {
	merchant, platform string // private keys, bare base64 of PKCS#1
	key                *rsa.PrivateKey
	mode               wechatMode
}

// wechatMode is what an account knows of the platform's keys, and which of them the platform signs with.
type wechatMode struct {
	public, certificate bool   // known
	signer              string // Wechatpay-Serial of what the platform sends
}

const (
	wechatV3Key  = "0123456789abcdef0123456789ABCDEF"
	wechatPeerID = "PUB_KEY_ID_0190000500100000000000000000000001"
	wechatSerial = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
	wechatCert   = "70B07E79B8269FEC3D5D3E6AB8ED163A6A380D07" // of the platform
)

// wechatKeys are made once: the merchant's and the platform's.
var wechatKeys = sync.OnceValue(func() (k [2]*rsa.PrivateKey) {
	for i := range k {
		var err error
		if k[i], err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	return k
})

func newWechat(mode wechatMode) *wechat {
	k := wechatKeys()
	return &wechat{merchant: bareKey(k[0]), platform: bareKey(k[1]), key: k[1], mode: mode}
}

func bareKey(key *rsa.PrivateKey) string {
	return base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PrivateKey(key))
}

func (*wechat) Info() channel.Info { return wechatv3.Driver.Info }

func (*wechat) Account() channel.Account {
	return channel.Account{ID: "wechat-test", AppID: "wx0000000000005001", MerchantID: "1900005001"}
}

func (w *wechat) Secrets() []string { return []string{w.merchant, wechatV3Key} }

func (w *wechat) New(t *testing.T, env channel.Env) channel.Channel {
	t.Helper()
	account := w.Account()
	env.Sim = "http://platform.test"
	cfg := &wechatv3.Config{
		AppID: account.AppID, MerchantID: account.MerchantID, SerialNo: wechatSerial,
		PrivateKey: secret.New(w.merchant), APIv3Key: secret.New(wechatV3Key),
	}
	if w.mode.public {
		cfg.PublicKeyID, cfg.PublicKey = wechatPeerID, base64.StdEncoding.EncodeToString(x509.MarshalPKCS1PublicKey(&w.key.PublicKey))
	}
	if w.mode.certificate {
		cfg.PlatformCert = w.certificate(t)
	}
	c, err := wechatv3.Driver.New(cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// certificate is the platform's, signed by itself, as bare base64.
func (w *wechat) certificate(t *testing.T) string {
	t.Helper()
	number, _ := new(big.Int).SetString(wechatCert, 16)
	template := &x509.Certificate{
		SerialNumber: number, Subject: pkix.Name{CommonName: "Tenpay.com sign"},
		NotBefore: channeltest.Now.Add(-time.Hour), NotAfter: channeltest.Now.Add(48 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &w.key.PublicKey, w.key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func (w *wechat) sign(t *testing.T, body string) http.Header {
	t.Helper()
	timestamp, nonce := strconv.FormatInt(channeltest.Now.Unix(), 10), "593BEC0C930BF1AFEB40B4A08C8FB242"
	digest := sha256.Sum256([]byte(timestamp + "\n" + nonce + "\n" + body + "\n"))
	signature, err := rsa.SignPKCS1v15(nil, w.key, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return http.Header{
		"Content-Type": {"application/json"}, "Wechatpay-Serial": {w.mode.signer}, "Wechatpay-Timestamp": {timestamp},
		"Wechatpay-Nonce": {nonce}, "Wechatpay-Signature": {base64.StdEncoding.EncodeToString(signature)},
	}
}

// transaction is a transaction object (查询订单).
func transaction(a pay.Attempt, state string) string {
	text := `{"appid":"` + a.AppID + `","mchid":"` + a.MerchantID + `","out_trade_no":"` + a.OutTradeNo + `","trade_state":"` + state + `"`
	if state == "SUCCESS" {
		text += `,"transaction_id":"` + channeltest.TransactionID + `","success_time":"2026-03-01T12:04:59+08:00","amount":{"total":` +
			strconv.FormatInt(int64(a.Amount), 10) + `,"payer_total":1,"currency":"CNY","payer_currency":"CNY"}`
	}
	return text + "}"
}

func (w *wechat) Answer(t *testing.T, op string, a pay.Attempt, say channeltest.Say) channel.Answer {
	t.Helper()
	no := func(status int, code string) channel.Answer {
		return channel.Answer{Status: status, Body: []byte(`{"code":"` + code + `","message":"不可以"}`)}
	}
	yes := func(body string) channel.Answer { return channel.Answer{Status: 200, Body: []byte(body)} }
	answer := map[string]map[channeltest.Say]channel.Answer{
		"open": {
			channeltest.SayUnpaid:   yes(`{"code_url":"weixin://wxpay/bizpayurl?pr=` + a.OutTradeNo + `"}`),
			channeltest.SayDeclined: no(403, "NO_AUTH"),
			channeltest.SayPaid:     no(400, "ORDER_PAID"),
			channeltest.SayClosed:   no(400, "ORDER_CLOSED"),
			channeltest.SayLimited:  no(429, "FREQUENCY_LIMITED"),
		},
		"query": {
			channeltest.SayUnpaid:  yes(transaction(a, "NOTPAY")),
			channeltest.SayPaid:    yes(transaction(a, "SUCCESS")),
			channeltest.SayClosed:  yes(transaction(a, "CLOSED")),
			channeltest.SayAbsent:  no(404, "ORDER_NOT_EXIST"),
			channeltest.SayLimited: no(429, "FREQUENCY_LIMITED"),
		},
		"close": {
			channeltest.SayClosed:  {Status: 204},
			channeltest.SayAbsent:  no(404, "ORDER_NOT_EXIST"),
			channeltest.SayPaid:    no(400, "ORDER_PAID"),
			channeltest.SayLimited: no(429, "FREQUENCY_LIMITED"),
		},
	}[op][say]
	answer.Header = w.sign(t, string(answer.Body))
	return answer
}

// refundObject is a refund object (申请退款, 查询单笔退款).
func refundObject(a pay.Attempt, r pay.Refund, status string) string {
	text := `{"refund_id":"50000000382019052709732678859","out_refund_no":"` + r.OutRefundNo + `","transaction_id":"` + a.TransactionID +
		`","out_trade_no":"` + a.OutTradeNo + `","channel":"ORIGINAL","status":"` + status + `"`
	if status == "SUCCESS" {
		text += `,"success_time":"2026-03-01T12:05:01+08:00"`
	}
	return text + fmt.Sprintf(`,"amount":{"total":%d,"refund":%d,"payer_total":1,"payer_refund":1,"currency":"CNY"}}`, a.Amount, r.Amount)
}

func (*wechat) Sums(string) bool { return false }

func (*wechat) Stamps() []string { return nil }

func (w *wechat) AnswerRefund(t *testing.T, op string, a pay.Attempt, r pay.Refund, say channeltest.Say) (channel.Answer, bool) {
	t.Helper()
	no := func(status int, code string) channel.Answer {
		return channel.Answer{Status: status, Body: []byte(`{"code":"` + code + `","message":"不可以"}`)}
	}
	told := func(status string) channel.Answer {
		return channel.Answer{Status: 200, Body: []byte(refundObject(a, r, status))}
	}
	answer, ok := map[channeltest.Say]channel.Answer{
		channeltest.SayProcessing: told("PROCESSING"),
		channeltest.SayRefunded:   told("SUCCESS"),
		channeltest.SayFailed:     told("CLOSED"),
		channeltest.SayAbnormal:   told("ABNORMAL"),
		channeltest.SayShort:      no(403, "NOT_ENOUGH"),
		channeltest.SayDeclined:   no(403, "USER_ACCOUNT_ABNORMAL"),
		channeltest.SayAbsent:     no(404, "RESOURCE_NOT_EXISTS"),
		channeltest.SayLimited:    no(429, "FREQUENCY_LIMITED"),
		channeltest.SayTrouble:    no(500, "SYSTEM_ERROR"),
	}[say]
	answer.Header = w.sign(t, string(answer.Body))
	return answer, ok
}

func (w *wechat) RefundNotice(t *testing.T, a pay.Attempt, r pay.Refund) channel.Inbound {
	t.Helper()
	return w.notice(t, "REFUND.SUCCESS", "refund", fmt.Sprintf(`{"mchid":"%s","out_trade_no":"%s","transaction_id":"%s","out_refund_no":"%s",`+
		`"refund_id":"50000000382019052709732678859","refund_status":"SUCCESS","success_time":"2026-03-01T12:05:01+08:00",`+
		`"amount":{"total":%d,"refund":%d,"payer_total":1,"payer_refund":1}}`, a.MerchantID, a.OutTradeNo, a.TransactionID, r.OutRefundNo, a.Amount, r.Amount))
}

func (*wechat) Unsigned(_ *testing.T, a channel.Answer) channel.Answer {
	a.Header = a.Header.Clone()
	for name := range a.Header {
		if strings.HasPrefix(name, "Wechatpay-") {
			a.Header.Del(name)
		}
	}
	return a
}

func (w *wechat) Notice(t *testing.T, a pay.Attempt) channel.Inbound {
	t.Helper()
	return w.notice(t, "TRANSACTION.SUCCESS", "transaction", transaction(a, "SUCCESS"))
}

func (w *wechat) notice(t *testing.T, event, kind, text string) channel.Inbound {
	t.Helper()
	block, err := aes.NewCipher([]byte(wechatV3Key))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	const nonce = "fdasflkja484"
	body, err := json.Marshal(map[string]any{
		"id": "EV-2018022511223320873", "create_time": "2026-03-01T12:05:00+08:00", "resource_type": "encrypt-resource",
		"event_type": event, "summary": "支付成功",
		"resource": map[string]any{
			"original_type": kind, "algorithm": "AEAD_AES_256_GCM", "associated_data": kind, "nonce": nonce,
			"ciphertext": aead.Seal(nil, []byte(nonce), []byte(text), []byte(kind)),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return channel.Inbound{Header: w.sign(t, string(body)), Body: body}
}

func TestWechatV3(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]wechatMode{
		"public key":                     {public: true, signer: wechatPeerID},
		"certificate":                    {certificate: true, signer: wechatCert},
		"both, signed by the public key": {public: true, certificate: true, signer: wechatPeerID},
		"both, signed by a certificate":  {public: true, certificate: true, signer: wechatCert},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			channeltest.Run(t, newWechat(mode))
		})
	}
}
