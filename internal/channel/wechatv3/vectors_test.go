package wechatv3

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"piaohao/internal/channel"
	facts "piaohao/spec/wechat"
)

func TestPublishedSignatures(t *testing.T) {
	t.Parallel()
	for _, v := range facts.SignedV1toV4 {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			key := publicKey(v.Key)
			last := len(v.Lines) - 1
			sum := digest([]byte(v.Lines[last]), v.Lines[:last]...)
			sig := must(base64.StdEncoding.DecodeString(v.Signature))
			if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig); err != nil {
				t.Fatal(err)
			}
			sum = digest([]byte(v.Lines[last]+"\n"), v.Lines[:last]...)
			if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig) == nil {
				t.Fatal("one LF more is accepted")
			}
		})
	}
	sum := sha256.Sum256([]byte(facts.RawMessage))
	if err := rsa.VerifyPKCS1v15(publicKey(facts.KeyB), crypto.SHA256, sum[:], must(base64.StdEncoding.DecodeString(facts.RawSignature))); err != nil {
		t.Errorf("raw vector: %v", err)
	}
}

func TestPublishedAnswerText(t *testing.T) {
	t.Parallel()
	v := facts.AnswerText
	if digest([]byte(v.Body), v.Timestamp, v.Nonce) != sha256.Sum256([]byte(v.Text)) {
		t.Fatal("the signed text of an answer differs")
	}
	if digest(nil, "1722850421", "n") != sha256.Sum256([]byte("1722850421\nn\n\n")) {
		t.Fatal("the signed text of a 204 differs")
	}
}

// The published notice passes whole, at its own time: raw bytes, headers, signature, cipher.
func TestPublishedNotice(t *testing.T) {
	t.Parallel()
	v := facts.SignedNotice
	if sum := sha256.Sum256([]byte(v.Body)); hex.EncodeToString(sum[:]) != v.SHA256 {
		t.Fatal("the vector is damaged")
	}
	c := build(t, func(_ *Config, env *channel.Env) { env.Now = func() time.Time { return time.Unix(1624523846+299, 0) } })
	c.known.Store(&peers{v.Serial: {id: v.Serial, key: publicKey(v.PublicKey)}}) // Inspect refuses published keys
	h := http.Header{
		"Wechatpay-Serial": {v.Serial}, "Wechatpay-Timestamp": {v.Timestamp}, "Wechatpay-Nonce": {v.Nonce}, "Wechatpay-Signature": {v.Signature},
	}
	if e := c.verify("read", channel.Forged, *c.known.Load(), h, []byte(v.Body)); e != nil {
		t.Fatal(e)
	}
	if e := c.verify("read", channel.Forged, *c.known.Load(), h, []byte(v.Body+"\n")); e == nil || e.Code != "signature" {
		t.Fatalf("one byte more: %v", e)
	}
	var notice struct {
		Resource resource `json:"resource"`
	}
	if err := json.Unmarshal([]byte(v.Body), &notice); err != nil {
		t.Fatal(err)
	}
	text, err := decrypt(must(newAEAD(v.Key)), notice.Resource, v.Kind)
	if err != nil || string(text) != v.Plaintext {
		t.Fatalf("decrypt = %q, %v", text, err)
	}
	obs, err := c.Read(channel.Inbound{Header: h, Body: []byte(v.Body)})
	if err != nil || obs.State != "unknown" || obs.OutTradeNo != "" {
		t.Fatalf("a notice of another product = %+v, %v; want unknown without an order", obs, err)
	}
}

func TestPublishedCiphers(t *testing.T) {
	t.Parallel()
	for _, v := range facts.SealedTexts {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			r := resource{"k", algorithm, must(base64.StdEncoding.DecodeString(v.Ciphertext)), v.AssociatedData, v.Nonce}
			text, err := decrypt(must(newAEAD(v.Key)), r, "k")
			if err != nil || string(text) != v.Plaintext {
				t.Fatalf("decrypt = %q, %v", text, err)
			}
		})
	}
}
