package webhook

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	oracle "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"pgregory.net/rapid"

	"piaohao/internal/secret"
)

// The known vector of Standard Webhooks (libraries/go/webhook_test.go).
func TestKnownVector(t *testing.T) {
	t.Parallel()
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := sign([][]byte{key}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestCheckSecret(t *testing.T) {
	t.Parallel()
	of := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, n)) }
	for _, row := range []struct {
		name, secret string
		ok           bool
	}{
		{"24 bytes", of(24), true},
		{"32 bytes", of(32), true},
		{"64 bytes", of(64), true},
		{"A05 empty", "", false},
		{"A05 prefix alone", "whsec_", false},
		{"A05 23 bytes", of(23), false},
		{"A05 65 bytes", of(65), false},
		{"A05 no prefix", strings.TrimPrefix(of(32), "whsec_"), false},
		{"A05 not base64", "whsec_" + strings.Repeat("!", 44), false},
		{"A05 base64 of URLs", "whsec_" + strings.Repeat("-", 44), false},
		{"A05 loose last bits", of(25)[:len(of(25))-3] + "x==", false},
		{"A05 line break", of(32) + "\n", false},
		{"A05 published example", exampleSecret, false},
		{"A40 new and old", of(32) + "," + of(24), true},
		{"A40 three", of(32) + "," + of(24) + "," + of(25), false},
		{"A40 the old one short", of(32) + "," + of(23), false},
		{"A40 comma alone", of(32) + ",", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			err := CheckSecret(secret.New(row.secret))
			if (err == nil) != row.ok {
				t.Errorf("%v", err)
			}
			if err != nil && row.secret != "" && strings.Contains(err.Error(), strings.TrimPrefix(row.secret, "whsec_")) && len(row.secret) > 6 {
				t.Error("the secret is in the error")
			}
		})
	}
}

// A verifier that we did not write accepts what we sign, and nothing else.
func TestAnotherVerifierAgrees(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), minKey, maxKey).Draw(t, "key")
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		at := time.Unix(rapid.Int64Range(0, 1<<40).Draw(t, "at"), 0)
		text := "whsec_" + base64.StdEncoding.EncodeToString(key)
		h := http.Header{}
		h.Set("Webhook-Id", "evt_1")
		h.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
		h.Set("Webhook-Signature", sign([][]byte{key}, "evt_1", at, body))

		theirs, err := oracle.NewWebhook(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := theirs.VerifyIgnoringTimestamp(body, h); err != nil {
			t.Fatal(err)
		}
		if err := theirs.VerifyIgnoringTimestamp(append(body, ' '), h); err == nil {
			t.Fatal("another body is accepted")
		}
	})
}

// A40: while a secret changes, a shop that knows the new one and a shop that knows the old one accept; once the old one
// is taken out, it signs nothing any more.
func TestA40SecretRotation(t *testing.T) {
	t.Parallel()
	of := func(b byte) string { return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32)) }
	at, body := time.Unix(1764000000, 0), []byte(`{"id":"evt_1"}`)
	for _, tt := range []struct {
		configured string
		accepted   map[byte]bool // by the key that the shop knows
	}{
		{of(1), map[byte]bool{1: true, 2: false, 3: false}},
		{of(2) + "," + of(1), map[byte]bool{1: true, 2: true, 3: false}},
		{of(2), map[byte]bool{1: false, 2: true, 3: false}},
	} {
		keys, err := signingKeys(secret.New(tt.configured))
		if err != nil {
			t.Fatal(err)
		}
		h := http.Header{}
		h.Set("Webhook-Id", "evt_1")
		h.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
		h.Set("Webhook-Signature", sign(keys, "evt_1", at, body))
		for known, want := range tt.accepted {
			shop, err := oracle.NewWebhook(of(known))
			if err != nil {
				t.Fatal(err)
			}
			if got := shop.VerifyIgnoringTimestamp(body, h) == nil; got != want {
				t.Errorf("%d keys, the shop knows %d: accepted %v", len(keys), known, got)
			}
		}
	}
}
