package logs

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"piaohao/internal/secret"
)

func TestA100KnownSecretsAreMasked(t *testing.T) {
	t.Parallel()
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	keyLine := strings.Split(key, "\n")[1]
	const (
		word = "0123canary4567canary89AB"
		odd  = "pass \"word\"\\/+&canary\tend"
	)
	for _, row := range []struct {
		name string
		text string // what a bug writes
		left string // no piece of it may remain
	}{
		{"A100 a key alone", word, word},
		{"A100 a key in a sentence", "merchant key " + word + " refused", word},
		{"A100 a key twice", word + word, "canary"},
		{"A100 a key after a look-alike", "0123canary4567" + word, word},
		{"A100 a key in base64", base64.StdEncoding.EncodeToString([]byte(word)), base64.StdEncoding.EncodeToString([]byte(word))[:20]},
		{"A100 a password with quotes", "dial " + odd, "canary"},
		{"A100 a password in a URL", "postgres://u:" + url.QueryEscape(odd) + "@db", "canary"},
		{"A100 a PEM key", key, keyLine[:20]},
		{"A100 the body of a PEM key", keyLine, keyLine[:20]},
		{"A100 a PEM key as Go prints it", fmt.Sprintf("%q", key), keyLine[:20]},
		{"A100 another's PEM key, cut", "-----BEGIN RSA PRIVATE KEY-----\nAAAAcanary", "canary"},
		{"A100 a shop's key", "Bearer sk_live_canary_-0", "canary"},
		{"A100 a test key", "sk_test_canary", "canary"},
		{"A100 a webhook key", "whsec_canary+/=", "canary"},
		{"A100 a bare key as Alipay's tools print it", "MII" + strings.Repeat("canary", 20) + "==", "canary"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			l, terminal, file := open(t, secret.New(word[:12]), secret.New(word), secret.New(odd), secret.New(key), secret.New("short"), secret.Text{})
			l.Error(row.text)
			l.Error("m", "k", row.text)
			l.Error("m", row.text, "v")
			l.Error("m", "cause", errors.New(row.text))
			l.With("k", row.text).Error("m", slog.Group("g", "k", row.text), "any", struct{ Key string }{row.text}, "short", "is no canary")
			for _, out := range []string{terminal.String(), file()} {
				if strings.Contains(strings.ReplaceAll(out, "is no canary", ""), row.left) || !strings.Contains(out, mask) {
					t.Errorf("written: %s", out)
				}
				if !strings.Contains(out, "short") {
					t.Error("a short word is masked")
				}
			}
			for line := range strings.Lines(file()) {
				if !json.Valid([]byte(line)) {
					t.Errorf("no JSON: %q", line)
				}
			}
		})
	}
}

func TestHarmlessLinesStay(t *testing.T) {
	t.Parallel()
	l, terminal, _ := open(t, secret.New("0123canary4567canary89AB"))
	l.Info("m", "order", "0123canary", "task", "disk_live", "note", "MII is short", "pem", "----")
	if strings.Contains(terminal.String(), mask) {
		t.Errorf("%s", terminal)
	}
}

// BenchmarkLine is what one record of a payment costs, terminal and file together, without the writes themselves.
func BenchmarkLine(b *testing.B) {
	many := make([]secret.Text, 40)
	for i := range many {
		many[i] = secret.New(strings.Repeat(fmt.Sprintf("%02d-a secret line of a key\n", i), 28))
	}
	for _, row := range []struct {
		name    string
		secrets []secret.Text
	}{{"no secrets", nil}, {"40 keys", many}} {
		b.Run(row.name, func(b *testing.B) {
			scrub := &scrubber{}
			scrub.add(row.secrets)
			log := slog.New(both{
				&terminal{out: &sink{w: io.Discard, scrub: scrub}},
				slog.NewJSONHandler(&sink{w: io.Discard, scrub: scrub}, nil),
			})
			b.ReportAllocs()
			for b.Loop() {
				log.LogAttrs(b.Context(), slog.LevelInfo, "payment operation", slog.String("op", "query"), slog.String("payment", "pay_01hzy3v9x2c4d6f8"),
					slog.String("attempt", "att_01hzy3v9x2c4d6f8"), slog.String("account", "wechatv3-1900000001-wx0000000000000001"),
					slog.String("outcome", "applied"), slog.Int64("duration_ms", 120))
			}
		})
	}
	b.Run("the scrubber alone", func(b *testing.B) {
		scrub := &scrubber{}
		scrub.add(many)
		line := []byte(strings.Repeat("an ordinary line of a log, no secret at all ", 6))
		b.SetBytes(int64(len(line)))
		for b.Loop() {
			scrub.clean(line)
		}
	})
}
