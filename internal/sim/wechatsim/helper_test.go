package wechatsim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"piaohao/internal/sim/simkit"
)

var testKeys = sync.OnceValue(func() map[string]*rsa.PrivateKey {
	out := map[string]*rsa.PrivateKey{}
	for _, name := range []string{MerchantKey, PlatformKey, CAKey, certificateName + "1", certificateName + "2", certificateName + "3"} {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		out[name] = key
	}
	return out
})

// bench is one platform under test, with a wall clock to move and a merchant who can sign.
type bench struct {
	t    *testing.T
	kit  *simkit.Kit
	sim  *Sim
	mux  *http.ServeMux
	wall atomic.Int64 // milliseconds
	key  *rsa.PrivateKey
	pub  *rsa.PublicKey

	options Options
}

func newBench(t *testing.T) *bench {
	t.Helper()
	return newBenchOf(t, Options{})
}

func newBenchOf(t *testing.T, o Options) *bench {
	t.Helper()
	b := &bench{t: t, options: o}
	b.wall.Store(time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC).UnixMilli())
	b.open("")
	return b
}

func (b *bench) now() time.Time { return time.UnixMilli(b.wall.Load()).UTC() }

func (b *bench) move(d time.Duration) { b.wall.Add(d.Milliseconds()) }

func (b *bench) open(dir string) {
	b.t.Helper()
	kit, err := simkit.New(simkit.Options{
		PublicURL: "http://127.0.0.1:5001", Dir: dir, Wall: b.now, Seed: 1, Keys: testKeys(),
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	sim, err := New(kit, b.options)
	if err != nil {
		b.t.Fatal(err)
	}
	b.kit, b.sim, b.mux = kit, sim, http.NewServeMux()
	sim.Mount(b.mux)
	b.readCredentials(sim.Credentials())
	b.t.Cleanup(func() { _ = kit.Close() })
}

// readCredentials takes the keys from the texts that a merchant gets, not from the simulator's memory.
func (b *bench) readCredentials(c Credentials) {
	b.t.Helper()
	private, _ := pem.Decode([]byte(c.PrivateKey))
	key, err := x509.ParsePKCS8PrivateKey(private.Bytes)
	if err != nil {
		b.t.Fatal(err)
	}
	b.key = key.(*rsa.PrivateKey)
	if c.PublicKey != "" {
		b.pub = parsePublic(b.t, c.PublicKey)
	}
}

func parsePublic(t *testing.T, text string) *rsa.PublicKey {
	t.Helper()
	block, _ := pem.Decode([]byte(text))
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PublicKey)
}

func sign(t *testing.T, key *rsa.PrivateKey, message string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(message))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

func verifies(key *rsa.PublicKey, message, signature string) bool {
	raw, err := base64.StdEncoding.DecodeString(signature)
	sum := sha256.Sum256([]byte(message))
	return err == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw) == nil
}

// request is what a merchant sends; a test changes it before or after it is signed.
type request struct {
	method, target, body string
	at                   time.Time // signed timestamp
	key                  *rsa.PrivateKey
	after                func(*http.Request) // once signed
}

func (b *bench) send(r request) *http.Response {
	b.t.Helper()
	if r.at.IsZero() {
		r.at = b.now()
	}
	if r.key == nil {
		r.key = b.key
	}
	req := httptest.NewRequest(r.method, r.target, strings.NewReader(r.body))
	stamp := strconv.FormatInt(r.at.Unix(), 10)
	signature := sign(b.t, r.key, r.method+"\n"+r.target+"\n"+stamp+"\nN0nce\n"+r.body+"\n")
	req.Header.Set("Authorization", fmt.Sprintf(`WECHATPAY2-SHA256-RSA2048 mchid="%s",nonce_str="N0nce",timestamp="%s",serial_no="%s",signature="%s"`,
		MerchantID, stamp, b.sim.Credentials().SerialNo, signature))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "bench")
	req.Header.Set("Wechatpay-Serial", publicKeyID)
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.after != nil {
		r.after(req)
	}
	w := httptest.NewRecorder()
	b.mux.ServeHTTP(w, req)
	return w.Result()
}

// outcome is an answer in one line: "200", "204" or "400 CODE".
type outcome struct {
	line   string
	body   map[string]any
	raw    string
	header http.Header
}

func (b *bench) read(resp *http.Response) outcome {
	b.t.Helper()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	out := outcome{line: strconv.Itoa(resp.StatusCode), raw: string(raw), header: resp.Header}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out.body); err != nil {
			b.t.Fatalf("answer %q: %v", raw, err)
		}
	}
	if code, ok := out.body["code"].(string); ok {
		out.line += " " + code
	}
	return out
}

func (b *bench) call(method, target, body string) outcome {
	b.t.Helper()
	return b.read(b.send(request{method: method, target: target, body: body}))
}

func (o outcome) signed(pub *rsa.PublicKey) bool {
	h := o.header
	return h.Get("Wechatpay-Serial") == publicKeyID && h.Get("Wechatpay-Signature-Type") == "WECHATPAY2-SHA256-RSA2048" &&
		h.Get("Request-ID") != "" && len(h.Get("Wechatpay-Nonce")) == 32 &&
		verifies(pub, h.Get("Wechatpay-Timestamp")+"\n"+h.Get("Wechatpay-Nonce")+"\n"+o.raw+"\n", h.Get("Wechatpay-Signature"))
}

const publicKeyID = "PUB_KEY_ID_0190000500100000000000000000000001"

const native = "/v3/pay/transactions/native"

func byNumber(number string) string {
	return "/v3/pay/transactions/out-trade-no/" + number + "?mchid=" + MerchantID
}

func closing(number string) string {
	return "/v3/pay/transactions/out-trade-no/" + number + "/close"
}

const closeBody = `{"mchid":"` + MerchantID + `"}`

// params returns a good native request, changed: a nil value takes the name away.
func params(number string, changes map[string]any) string {
	doc := map[string]any{
		"appid": AppID, "mchid": MerchantID, "description": "一斤龙井 & <茶>", "out_trade_no": number,
		"notify_url": "http://127.0.0.1:5000/payment/wechat/notify", "amount": map[string]any{"total": 9900, "currency": "CNY"},
	}
	maps.Copy(doc, changes)
	maps.DeleteFunc(doc, func(_ string, v any) bool { return v == nil })
	var out bytes.Buffer
	encoder := json.NewEncoder(&out) // with a line feed at its end, like the platform's own Go SDK
	if err := encoder.Encode(doc); err != nil {
		panic(err)
	}
	return out.String()
}

// place orders and returns the code_url.
func (b *bench) place(number string, changes map[string]any) string {
	b.t.Helper()
	got := b.call("POST", native, params(number, changes))
	url, _ := got.body["code_url"].(string)
	if got.line != "200" || url == "" {
		b.t.Fatalf("order %s: %s %s", number, got.line, got.raw)
	}
	return url
}

func (b *bench) pay(code, payer string) simkit.Order {
	b.t.Helper()
	paid, err := b.sim.Pay(code, payer)
	if err != nil {
		b.t.Fatalf("pay %s: %v", code, err)
	}
	return paid
}

func (b *bench) step() time.Time {
	b.t.Helper()
	next, err := b.kit.Notices.Step(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	return next
}
