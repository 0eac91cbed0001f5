package e2e

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/channel/alipay"
	"piaohao/internal/channel/wechatv2"
	"piaohao/internal/channel/wechatv3"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
)

// tape writes requests down and answers none of them.
type tape struct{ requests []string }

// RoundTrip fails after a connection stood, so that nothing is sent to a backup host.
func (r *tape) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", req.Method, req.URL)
	for _, name := range []string{"Authorization", "Accept", "Accept-Encoding", "Content-Type", "User-Agent", "Wechatpay-Serial"} {
		if v := req.Header.Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", body)
	r.requests = append(r.requests, b.String())
	return nil, io.ErrUnexpectedEOF
}

// counting is a source of "random" bytes that repeats.
type counting struct{ n byte }

func (c *counting) Read(p []byte) (int, error) {
	for i := range p {
		c.n++
		p[i] = c.n
	}
	return len(p), nil
}

// liveKeys are made for one run: signatures by them are checked and then masked in the golden texts.
func liveKeys(t *testing.T) (ours, theirs *rsa.PrivateKey) {
	t.Helper()
	ours, err := rsa.GenerateKey(rand.Reader, 2048)
	if err == nil {
		theirs, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

func privateText(t *testing.T, key *rsa.PrivateKey) secret.Text {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return secret.New(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func certificateText(t *testing.T, key *rsa.PrivateKey, at time.Time) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: liveMerchant}, NotBefore: at.Add(-time.Hour), NotAfter: at.Add(24 * 365 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func publicText(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

// TestLiveWire holds what live accounts send, byte by byte, against golden texts: real host names, paths, headers and
// bodies. -update writes them anew.
func TestLiveWire(t *testing.T) {
	t.Parallel()
	ours, theirs := liveKeys(t)
	at := time.Date(2026, 11, 24, 6, 27, 8, 0, time.UTC)
	for _, tt := range []struct {
		driver   channel.Driver
		settings channel.Settings
		product  string
	}{
		{wechatv2.Driver, &wechatv2.Config{
			AppID: liveWeChatApp, MerchantID: liveMerchant, MchKey: secret.New("0123456789abcdefghijklmnopqrstuv"),
			Cert: certificateText(t, ours, at), Key: privateText(t, ours),
		}, "native"},
		{wechatv3.Driver, &wechatv3.Config{
			AppID: liveWeChatApp, MerchantID: liveMerchant, SerialNo: "5F2B6A0C3D4E1F708192A3B4C5D6E7F801234567", PrivateKey: privateText(t, ours),
			APIv3Key: secret.New("0123456789abcdefghijklmnopqrstuv"), PublicKeyID: "PUB_KEY_ID_0116520839472026112400000000000001", PublicKey: publicText(t, theirs),
		}, "native"},
		{alipay.Driver, &alipay.Config{
			AppID: liveAlipayApp, SellerID: liveSeller, PrivateKey: privateText(t, ours), PublicKey: publicText(t, theirs),
		}, "page"},
	} {
		t.Run(tt.driver.Info.Channel, func(t *testing.T) {
			t.Parallel()
			appID, merchantID := tt.settings.Identity()
			account := channel.Account{ID: "live", AppID: appID, MerchantID: merchantID, Livemode: true}
			r := &tape{}
			env := channel.Env{
				Account: account, HTTP: &http.Client{Transport: r}, Now: func() time.Time { return at }, Random: &counting{},
				Log:       slog.New(slog.DiscardHandler),
				Certified: func(tls.Certificate) *http.Client { return &http.Client{Transport: r} },
			}
			c, err := tt.driver.New(tt.settings, env)
			if err != nil {
				t.Fatal(err)
			}
			a := pay.Attempt{
				ID: "att_1", PaymentID: "pay_1", OutTradeNo: "01jd1tz4t0q6m7x2c4d5e6f7g8", Method: tt.driver.Info.Method, Product: tt.product,
				Amount: 12800, Currency: pay.CNY, Account: account.ID, Channel: tt.driver.Info.Channel, AppID: appID, MerchantID: merchantID,
				Subject: "明前龙井 × 1 & 罐=2/3", NotifyURL: "https://" + payHost + tt.driver.Info.NotifyPath,
				ReturnURL: "https://" + payHost + "/payment/success/tok", ClientIP: "203.0.113.9", CreatedAt: at, ExpiresAt: at.Add(30 * time.Minute),
			}
			if v, ok := c.(channel.Varied); ok {
				a.Variant = v.Variant()
			}
			shape, err := c.Open(t.Context(), a)
			if err == nil { // signed locally: the payer sends it
				r.requests = append(r.requests, "GET "+shape.Text+"\n")
			}
			_, _ = c.Query(t.Context(), a)
			_, _ = c.Close(t.Context(), a)
			a.TransactionID = "4200002468202611244680135790"
			back := pay.Refund{OutRefundNo: "01jd1tz4t0q6m7x2c4d5e6f7ga", Amount: 5000, Reason: "少了一两 & 罐", SentAt: at.Add(-time.Minute)}
			_, _ = c.(channel.Refunder).Refund(t.Context(), a, back)
			_, _ = c.(channel.Refunder).QueryRefund(t.Context(), a, back)
			golden(t, filepath.Join("testdata", "live", tt.driver.Info.Channel+".txt"), masked(t, &ours.PublicKey, r.requests))
			if env.Sim = "http://127.0.0.1:1"; true {
				if _, err := tt.driver.New(tt.settings, env); err == nil {
					t.Error("A18 a live account was led to a simulator")
				}
			}
		})
	}
}

var (
	v3Signature     = regexp.MustCompile(`signature="([^"]+)"`)
	alipaySignature = regexp.MustCompile(`[?&]sign=([^&\s]+)`)
)

// masked checks the RSA signatures of requests and takes them out, because the keys are new in every run.
func masked(t *testing.T, key *rsa.PublicKey, requests []string) string {
	t.Helper()
	var b strings.Builder
	for _, request := range requests {
		if m := v3Signature.FindStringSubmatch(request); m != nil {
			checkSignature(t, key, v3Message(t, request), m[1])
			request = strings.Replace(request, m[1], "(checked)", 1)
		}
		if m := alipaySignature.FindStringSubmatch(request); m != nil {
			signature, err := url.QueryUnescape(m[1])
			if err != nil {
				t.Fatal(err)
			}
			checkSignature(t, key, alipayMessage(t, request), signature)
			request = strings.Replace(request, m[1], "(checked)", 1)
		}
		b.WriteString(request + "\n")
	}
	return b.String()
}

func checkSignature(t *testing.T, key *rsa.PublicKey, message, signature string) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(signature)
	sum := sha256.Sum256([]byte(message))
	if err != nil || rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw) != nil {
		t.Errorf("the signature does not hold over\n%s", message)
	}
}

// v3Message is the signed text of a request of APIv3 (签名生成): five lines.
func v3Message(t *testing.T, request string) string {
	t.Helper()
	head, body, _ := strings.Cut(request, "\n\n")
	method, rest, _ := strings.Cut(head, " ")
	target, _, _ := strings.Cut(rest, "\n")
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	part := func(name string) string {
		return regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(head)[1]
	}
	return strings.Join([]string{method, u.RequestURI(), part("timestamp"), part("nonce_str"), strings.TrimSuffix(body, "\n"), ""}, "\n")
}

// alipayMessage is the signed text of a request of the open platform: all fields but sign, sorted (opendocs, signing).
func alipayMessage(t *testing.T, request string) string {
	t.Helper()
	head, body, _ := strings.Cut(request, "\n\n")
	_, rest, _ := strings.Cut(head, "?")
	query, _, _ := strings.Cut(rest, "\n")
	fields, err := url.ParseQuery(query + "&" + strings.TrimSpace(body))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for name, values := range fields {
		if name != "sign" {
			lines = append(lines, name+"="+values[0])
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "&")
}

// golden compares got with a file, which -update writes.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("%s (-update writes it anew):\n%s", name, cmp.Diff(string(want), got))
	}
}
