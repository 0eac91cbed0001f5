package wechatv3

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/keys"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
	facts "piaohao/spec/wechat"
)

// A platform of the tests' own: it signs as the documentation says, with helpers that share nothing with the code
// under test.

const (
	serialNo = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
	peerID   = "PUB_KEY_ID_0190000729100000000000000000000001"
	v3Key    = "Zk3pWq81tVn5Xy7Ba0RcLd94HgUeMs26"
	nonce32  = "593BEC0C930BF1AFEB40B4A08C8FB242"
)

// testKeys are made once: the merchant's, the platform's and a stranger's.
var testKeys = sync.OnceValue(func() (k struct{ merchant, platform, stranger *rsa.PrivateKey }) {
	for _, key := range []**rsa.PrivateKey{&k.merchant, &k.platform, &k.stranger} {
		var err error
		if *key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			panic(err)
		}
	}
	return k
})

func testNow() time.Time { return time.Date(2018, 6, 8, 2, 35, 0, 0, time.UTC) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func testConfig() *Config {
	k := testKeys()
	return &Config{
		AppID: facts.AppID, MerchantID: facts.MerchantID, SerialNo: serialNo,
		PrivateKey: secret.New(pemText("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(k.merchant)))),
		APIv3Key:   secret.New(v3Key), PublicKeyID: peerID,
		PublicKey: pemText("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(&k.platform.PublicKey))),
	}
}

func testEnv() channel.Env {
	return channel.Env{
		Sim:     "http://127.0.0.1:5001",
		Account: channel.Account{ID: "wechat-test", AppID: facts.AppID, MerchantID: facts.MerchantID},
		HTTP:    http.DefaultClient, Now: testNow, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
	}
}

func testAttempt() pay.Attempt {
	return pay.Attempt{
		OutTradeNo: facts.OutTradeNo, Method: "wechat", Product: "native", Amount: facts.Total, Currency: pay.CNY,
		Account: "wechat-test", Channel: "wechatv3", AppID: facts.AppID, MerchantID: facts.MerchantID,
		Subject: facts.Description, NotifyURL: facts.NotifyURL, ExpiresAt: must(time.Parse(time.RFC3339, facts.TimeExpire)),
	}
}

func build(t testing.TB, change func(*Config, *channel.Env)) *client {
	t.Helper()
	cfg, env := testConfig(), testEnv()
	if change != nil {
		change(cfg, &env)
	}
	c, err := New(cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*client)
}

// signature signs lines, each ended by LF.
func signature(key *rsa.PrivateKey, lines ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n") + "\n"))
	return base64.StdEncoding.EncodeToString(must(rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])))
}

// signed returns the headers with which the platform sends body at a time.
func signed(key *rsa.PrivateKey, at time.Time, body string) http.Header {
	ts := strconv.FormatInt(at.Unix(), 10)
	return http.Header{
		"Wechatpay-Serial": {peerID}, "Wechatpay-Timestamp": {ts}, "Wechatpay-Nonce": {nonce32},
		"Wechatpay-Signature":      {signature(key, ts, nonce32, body)},
		"Wechatpay-Signature-Type": {"WECHATPAY2-SHA256-RSA2048"},
		"Request-Id":               {"08F5B8C2B506102C18FDDFEEA30620BE821E28DEC405-0"},
	}
}

// sealed is a resource around text.
func sealed(kind, text string) map[string]any {
	aead := must(cipher.NewGCM(must(aes.NewCipher([]byte(v3Key)))))
	return map[string]any{
		"original_type": kind, "algorithm": "AEAD_AES_256_GCM", "associated_data": kind, "nonce": "uluk4a9R25RW",
		"ciphertext": base64.StdEncoding.EncodeToString(aead.Seal(nil, []byte("uluk4a9R25RW"), []byte(text), []byte(kind))),
	}
}

func envelope(event string, resource map[string]any) string {
	return string(must(json.Marshal(map[string]any{
		"id": "EV-2018022511223320873", "create_time": "2018-06-08T10:34:57+08:00", "resource_type": "encrypt-resource",
		"event_type": event, "summary": "支付成功", "resource": resource,
	})))
}

// inbound is a rightly signed notice.
func inbound(body string) channel.Inbound {
	return channel.Inbound{Header: signed(testKeys().platform, testNow(), body), Body: []byte(body)}
}

func paidNotice(text string) channel.Inbound {
	return inbound(envelope("TRANSACTION.SUCCESS", sealed("transaction", text)))
}

// reply is what the test's platform answers.
type reply struct {
	status int
	body   string
	header func(h http.Header) // changes the signed headers
}

// serve runs a platform that checks every request and answers with r; got receives method, target and body.
func serve(t *testing.T, r reply) (c *client, got chan [3]string) {
	t.Helper()
	got = make(chan [3]string, 4)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		checkRequest(t, req, string(body))
		got <- [3]string{req.Method, req.RequestURI, string(body)}
		w.Header().Set("Date", testNow().Format(http.TimeFormat))
		h := signed(testKeys().platform, testNow(), r.body)
		if r.header != nil {
			r.header(h)
		}
		for key, values := range h {
			w.Header()[key] = values
		}
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, r.body)
	}))
	t.Cleanup(srv.Close)
	return build(t, func(_ *Config, env *channel.Env) { env.Sim = srv.URL }), got
}

var authForm = regexp.MustCompile(`^WECHATPAY2-SHA256-RSA2048 mchid="([0-9]+)",nonce_str="([0-9a-zA-Z]{32})",timestamp="([0-9]+)",serial_no="([0-9A-F]+)",signature="([0-9A-Za-z+/=]{344})"$`)

// checkRequest is the platform's side of 签名验证, over the raw request.
func checkRequest(t *testing.T, req *http.Request, body string) {
	auth := authForm.FindStringSubmatch(req.Header.Get("Authorization"))
	if auth == nil {
		t.Errorf("Authorization = %q", req.Header.Get("Authorization"))
		return
	}
	if auth[1] != facts.MerchantID || auth[3] != strconv.FormatInt(testNow().Unix(), 10) || auth[4] != serialNo {
		t.Errorf("Authorization = %q", auth[0])
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{req.Method, req.RequestURI, auth[3], auth[2], body}, "\n") + "\n"))
	if err := rsa.VerifyPKCS1v15(&testKeys().merchant.PublicKey, crypto.SHA256, sum[:], must(base64.StdEncoding.DecodeString(auth[5]))); err != nil {
		t.Errorf("request signature: %v", err)
	}
	want := map[string]string{"Wechatpay-Serial": peerID, "Accept": "application/json", "User-Agent": userAgent}
	if body != "" {
		want["Content-Type"] = "application/json"
	}
	for key, value := range want {
		if req.Header.Get(key) != value {
			t.Errorf("%s = %q, want %q", key, req.Header.Get(key), value)
		}
	}
}

// outcome is what a call came to, in one line: a shape, an observation's state, or an error's kind.
func outcome(shape pay.Shape, obs pay.Observation, err error) string {
	var e *channel.Error
	switch {
	case errors.As(err, &e):
		return string(e.Kind) + " " + e.Code
	case err != nil:
		return "not a channel error: " + err.Error()
	case shape.Kind != "":
		return string(shape.Kind) + " " + shape.Text
	}
	return string(obs.State)
}

func call(t *testing.T, c *client, op string) string {
	t.Helper()
	a := testAttempt()
	switch op {
	case "native":
		shape, err := c.Open(t.Context(), a)
		return outcome(shape, pay.Observation{}, err)
	case "query":
		obs, err := c.Query(t.Context(), a)
		return outcome(pay.Shape{}, obs, err)
	case "close":
		obs, err := c.Close(t.Context(), a)
		return outcome(pay.Shape{}, obs, err)
	}
	t.Fatalf("no call %q", op)
	return ""
}

func sameJSON(t *testing.T, want, got string) {
	t.Helper()
	if want == "" && got == "" {
		return
	}
	var w, g any
	if err := errors.Join(json.Unmarshal([]byte(want), &w), json.Unmarshal([]byte(got), &g)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Fatal(diff)
	}
}

// logLines collects warnings.
func logLines() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, nil)), &b
}

func publicKey(text string) *rsa.PublicKey { return must(keys.Parse(text)).Public }
