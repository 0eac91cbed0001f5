package doctor_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/channel"
	"piaohao/internal/config"
	"piaohao/internal/doctor"
	"piaohao/internal/secret"
)

var update = flag.Bool("update", false, "write the golden files")

// TestGolden holds the whole output of one world with some faults, for people and for programs.
func TestGolden(t *testing.T) {
	t.Parallel()
	w := good(t)
	w.in.Online = true
	w.in.Err = config.Problems{{
		File: ".env", Line: 12, Setting: "LOG_LEVEL", Code: "invalid", Text: "is one of debug, info, warn, error", Cure: "use info",
	}}
	w.files.facts[".env"] = doctor.Facts{Mode: 0o644}
	w.fakes(&fake{
		Key: secret.New("canary key"),
		found: []channel.Finding{
			{Level: channel.LevelOK, Code: "key", Setting: "WECHAT_FAKE_KEY", Text: "private key, PEM, PKCS#8, RSA 2048"},
			{Level: doubt, Code: "expires_soon", Setting: "WECHAT_FAKE_ID", Text: "ends in 12 days", Cure: "renew it"},
		},
		query: &channel.Error{Kind: channel.Unknown, Op: "query", Code: "header_missing", Text: "(HTTP 401 SIGN_ERROR)"},
	})
	w.fakesAt(alipayAccount, &fake{Key: secret.New("canary key"), Extra: secret.New("canary extra"), ack: "fail"})
	w.account(wechatAccount).ID, w.account(alipayAccount).ID = "one-1-app", "two-app"
	products := []channel.Product{{Name: "page", Desktop: true}, {Name: "wap", Phone: true}, {Name: "form"}, {Name: "spare", Phone: true}}
	w.account(alipayAccount).Driver.Info.Products, w.account(alipayAccount).Products = products, products[:3]
	r := w.examine(t)

	var human strings.Builder
	if err := r.Print(&human); err != nil {
		t.Fatal(err)
	}
	golden(t, "report.txt", human.String())
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "report.json", string(text)+"\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; go test ./internal/doctor -update):\n%s", name, diff)
	}
}
