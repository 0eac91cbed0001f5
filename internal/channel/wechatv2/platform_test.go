package wechatv2

import (
	"crypto/aes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
	facts "piaohao/spec/wechat"
)

// A platform of the tests' own: it signs as the documentation says, with helpers that share nothing with the code
// under test.

const (
	testKey  = "Qk7v2Rz9Lx4Tn8Ws1Yb6Hd3Mf5Gc0Jp3"
	otherKey = "Zk7v2Rz9Lx4Tn8Ws1Yb6Hd3Mf5Gc0Jp3"
	nonce32  = "5D2B6C2A8DB53831F7EDA20AF46E531C"
)

var variants = []string{"MD5", "HMAC-SHA256"}

func testNow() time.Time { return time.Date(2014, 9, 3, 5, 16, 0, 0, time.UTC) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func testConfig() *Config {
	return &Config{AppID: facts.V2AppID, MerchantID: facts.V2MerchantID, MchKey: secret.New(testKey)}
}

func testEnv() channel.Env {
	return channel.Env{
		Sim:     "http://127.0.0.1:5001",
		Account: channel.Account{ID: "wechatv2-test", AppID: facts.V2AppID, MerchantID: facts.V2MerchantID},
		HTTP:    http.DefaultClient, Now: testNow, Log: slog.New(slog.DiscardHandler),
	}
}

func beijingTime(text string) time.Time {
	return must(time.Parse("20060102150405 -0700", text+" +0800"))
}

func testAttempt(variant string) pay.Attempt {
	return pay.Attempt{
		OutTradeNo: facts.V2OutTradeNo, Method: "wechat", Product: "native", Amount: facts.V2Total, Currency: pay.CNY,
		Account: "wechatv2-test", Channel: "wechatv2", AppID: facts.V2AppID, MerchantID: facts.V2MerchantID, Variant: variant,
		Subject: facts.V2Body, NotifyURL: facts.NotifyURL, ClientIP: facts.V2ClientIP,
		CreatedAt: beijingTime("20140903131140"), ExpiresAt: beijingTime(facts.V2TimeExpire),
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

// signature is 签名算法 over fields.
func signature(key, variant string, fields []facts.Field) string {
	var parts []string
	for _, f := range fields {
		if f.Value != "" && f.Name != "sign" {
			parts = append(parts, f.Name+"="+f.Value)
		}
	}
	sort.Strings(parts)
	text := strings.Join(append(parts, "key="+key), "&")
	if variant == "MD5" {
		return fmt.Sprintf("%X", md5.Sum([]byte(text)))
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return fmt.Sprintf("%X", mac.Sum(nil))
}

// signed adds a nonce and the signature under the test's key.
func signed(variant string, fields []facts.Field) []facts.Field {
	fields = append(slices.Clone(fields), facts.Field{Name: "nonce_str", Value: nonce32})
	return append(fields, facts.Field{Name: "sign", Value: signature(testKey, variant, fields)})
}

// xmlOf writes fields as the platform does: in CDATA, a line each.
func xmlOf(root string, fields []facts.Field) string {
	lines := []string{"<" + root + ">"}
	for _, f := range fields {
		lines = append(lines, "<"+f.Name+"><![CDATA["+f.Value+"]]></"+f.Name+">")
	}
	return strings.Join(append(lines, "</"+root+">"), "\n")
}

// set returns fields with one of them changed, added or, with "", emptied.
func set(fields []facts.Field, name, value string) []facts.Field {
	fields = slices.Clone(fields)
	for i := range fields {
		if fields[i].Name == name {
			fields[i].Value = value
			return fields
		}
	}
	return append(fields, facts.Field{Name: name, Value: value})
}

// without returns fields less one.
func without(fields []facts.Field, name string) []facts.Field {
	return slices.DeleteFunc(slices.Clone(fields), func(f facts.Field) bool { return f.Name == name })
}

// sealed is req_info around text.
func sealed(key, text string) string {
	pad := aes.BlockSize - len(text)%aes.BlockSize
	return sealedBlocks(key, text+strings.Repeat(string(rune(pad)), pad))
}

// sealedBlocks is req_info around text that is padded already.
func sealedBlocks(key, text string) string {
	block := must(aes.NewCipher(fmt.Appendf(nil, "%x", md5.Sum([]byte(key)))))
	plain := []byte(text)
	for i := 0; i < len(plain); i += aes.BlockSize {
		block.Encrypt(plain[i:], plain[i:])
	}
	return base64.StdEncoding.EncodeToString(plain)
}

func inbound(body string) channel.Inbound {
	return channel.Inbound{Header: http.Header{"Content-Type": {"text/xml"}}, Body: []byte(body)}
}

func paidNotice(variant string, fields []facts.Field) channel.Inbound {
	return inbound(xmlOf("xml", signed(variant, fields)))
}

// serve runs a platform that checks every request for its signature in the way of variant, and answers with a body.
func serve(t *testing.T, variant string, status int, body string) (c *client, got chan map[string]string) {
	t.Helper()
	got = make(chan map[string]string, 4)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		text, _ := io.ReadAll(req.Body)
		got <- checkRequest(t, req, variant, text)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	return build(t, func(_ *Config, env *channel.Env) { env.Sim = srv.URL }), got
}

// checkRequest is the platform's side: it returns the fields, the path under "path".
func checkRequest(t *testing.T, req *http.Request, variant string, text []byte) map[string]string {
	var m struct {
		XMLName xml.Name `xml:"xml"`
		Fields  []struct {
			XMLName xml.Name
			Value   string `xml:",chardata"`
		} `xml:",any"`
	}
	if err := xml.Unmarshal(text, &m); err != nil {
		t.Errorf("request: %v", err)
	}
	var list []facts.Field
	found := map[string]string{"path": req.URL.Path}
	for _, f := range m.Fields {
		list = append(list, facts.Field{Name: f.XMLName.Local, Value: f.Value})
		if found[f.XMLName.Local] != "" {
			t.Errorf("%s occurs twice", f.XMLName.Local)
		}
		found[f.XMLName.Local] = f.Value
	}
	if want := signature(testKey, variant, list); found["sign"] != want || found["sign_type"] != variant {
		t.Errorf("request signed %s as %q, want %s as %q", found["sign"], found["sign_type"], want, variant)
	}
	if req.Method != http.MethodPost || req.Header.Get("Content-Type") != "text/xml; charset=utf-8" || req.Header.Get("User-Agent") != userAgent {
		t.Errorf("%s %v", req.Method, req.Header)
	}
	if len(found["nonce_str"]) != 32 {
		t.Errorf("nonce_str = %q", found["nonce_str"])
	}
	return found
}

// call runs one operation and says what it came to, in one line: a shape, an observation's state, or an error.
func call(t *testing.T, c *client, op string, a pay.Attempt) string {
	t.Helper()
	var shape pay.Shape
	var obs pay.Observation
	var err error
	switch op {
	case "native":
		shape, err = c.Open(t.Context(), a)
	case "query":
		obs, err = c.Query(t.Context(), a)
	case "close":
		obs, err = c.Close(t.Context(), a)
	default:
		t.Fatalf("no call %q", op)
	}
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

// kindOf is the kind and code of a channel error, "" for none.
func kindOf(err error) (channel.Kind, string) {
	var e *channel.Error
	if errors.As(err, &e) {
		return e.Kind, e.Code
	}
	return "", ""
}

func second[T any](_ T, err error) error { return err }
