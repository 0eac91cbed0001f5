package alipay

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"

	"piaohao/internal/channel"
	"piaohao/internal/channel/channeltest"
	"piaohao/internal/strict"
	spec "piaohao/spec/alipay"
)

// T1, T2, T3: published signatures hold, and change of one letter breaks them.
func TestVectors(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]spec.Vector{
		"T1 trade notice": spec.TradeNotice, "T2 reply node": spec.ReplyNode, "T3 beyond ASCII": spec.Chinese,
	} {
		key := published64(t, v.Key)
		if !verify(key, []byte(v.Text), v.Signature) {
			t.Errorf("%s: does not hold", name)
		}
		if verify(key, []byte(v.Text+" "), v.Signature) || verify(key, []byte(v.Text[1:]), v.Signature) {
			t.Errorf("%s: holds for another text", name)
		}
	}
}

// T1 through the parser: from the wire form to the signed text.
func TestVectorNotice(t *testing.T) {
	t.Parallel()
	v := spec.TradeNotice
	var wire strings.Builder
	for field := range strings.SplitSeq(v.Text, "&") {
		name, value, _ := strings.Cut(field, "=")
		wire.WriteString(name + "=" + queryEscape(value) + "&")
	}
	wire.WriteString("sign_type=RSA2&sign=" + queryEscape(v.Signature))
	form, err := strict.ParseForm([]byte(wire.String()))
	if err != nil {
		t.Fatal(err)
	}
	sortFields(form)
	if got := string(canonical(form, inMessage)); got != v.Text {
		t.Errorf("signed text\n%s\nwant\n%s", got, v.Text)
	}
	config := testConfig()
	config.AppID, config.SellerID, config.PublicKey = "2019073166072302", "2088531891668739", v.Key
	c, err := Driver.New(config, channel.Env{
		Account: channel.Account{ID: "a", AppID: config.AppID, MerchantID: config.SellerID}, Now: clock(channeltest.Now),
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"as sent": wire.String(), "A09 empty fields are not signed and count as absent": "refund_fee=&body=&" + wire.String(),
	} {
		o, err := c.Read(channel.Inbound{Body: []byte(body)})
		if err != nil || o.Amount != 10 || o.OutTradeNo != "20190815155618536-564-57" || o.State != "paid" || o.Refunded != 0 {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

// queryEscape writes every byte but letters and digits as %xx, unlike net/url.
func queryEscape(s string) string {
	const hex = "0123456789abcdef"
	var b strings.Builder
	for i := range len(s) {
		if isDigit(s[i]) || isNumberByte(s[i]) {
			b.WriteByte(s[i])
			continue
		}
		b.WriteString("%" + string(hex[s[i]>>4]) + string(hex[s[i]&15]))
	}
	return b.String()
}

// A04: a genuine SHA1withRSA signature is none.
func TestSHA1IsRefused(t *testing.T) {
	t.Parallel()
	key := published64(t, spec.SHA1.Key)
	digest := sha1.Sum([]byte(spec.SHA1.Text))
	raw := decodeBase64(t, spec.SHA1.Signature)
	if rsa.VerifyPKCS1v15(key, crypto.SHA1, digest[:], raw) != nil {
		t.Fatal("the vector is not a SHA-1 signature")
	}
	if verify(key, []byte(spec.SHA1.Text), spec.SHA1.Signature) {
		t.Error("A04 a SHA-1 signature was taken for RSA2")
	}
}

func TestSignIsDeterministic(t *testing.T) {
	t.Parallel()
	text := []byte(spec.Chinese.Text)
	first, err := sign(appKey(), text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := sign(appKey(), text)
	if err != nil || first != again {
		t.Errorf("two signatures of one text differ, %v", err)
	}
	digest := sha256.Sum256(text)
	if rsa.VerifyPKCS1v15(&appKey().PublicKey, crypto.SHA256, digest[:], decodeBase64(t, first)) != nil {
		t.Error("the signature is not SHA256withRSA")
	}
}

// published64 reads the base64 of a SubjectPublicKeyInfo with the standard library alone.
func published64(t *testing.T, text string) *rsa.PublicKey {
	t.Helper()
	key, err := x509.ParsePKIXPublicKey(decodeBase64(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PublicKey)
}
