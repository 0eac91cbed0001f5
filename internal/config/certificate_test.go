package config_test

import (
	"fmt"
	"strings"
	"testing"

	"piaohao/internal/channel/all"
	"piaohao/internal/config"
)

// TestOlderCertificate: the certificate of APIv2 has names of its own. They refine its key, never mean APIv3, and what is
// wrong with them is named as it is with every other key.
func TestOlderCertificate(t *testing.T) {
	t.Parallel()
	good, stranger := issued(pair(), "1598273640", root()), issued(other(), "1598273640", root())
	const v2, v3 = "wechatv2-1598273640-wx2f4a8c1e6b9d3057", "wechatv3-1598273640-wx2f4a8c1e6b9d3057"
	older := "WECHAT_APP_ID=wx2f4a8c1e6b9d3057\nWECHAT_MCH_ID=1598273640\nPUBLIC_URL=https://pay.example.com\n"
	key := "WECHAT_MCH_KEY=" + oldKey + "\n"
	newer := "WECHAT_MCH_CERT=" + good + "\nWECHAT_MCH_PRIVATE_KEY=" + privateText() + "\nWECHAT_API_V3_KEY=" + newKey + "\n"
	both := "WECHAT_V2_CERT=" + good + "\nWECHAT_V2_PRIVATE_KEY=" + privateText() + "\n"
	for _, row := range []struct{ name, file, want, warning string }{
		{"beside its key", older + key + both, "live " + v2, ""},
		{"beside its key while testing", older + key + both + "WECHAT_SANDBOX=true", "test [" + v2 + "]", ""},
		{"beside both protocols", older + key + newer + both, "live " + v3 + " " + v2 + "(old)", ""},
		{"beside APIv3 alone", older + newer + both, "live " + v3, "WECHAT_V2_CERT: has no effect without the key of wechatv2"},
		{"without its key", older + both, "", ".env:1: WECHAT_APP_ID: is set, and no key that goes with it is"},
		{"a certificate without its key", older + key + "WECHAT_V2_CERT=" + good, "", "WECHAT_V2_PRIVATE_KEY: is not set, and WECHAT_V2_CERT is"},
		{"a key without its certificate", older + key + "WECHAT_V2_PRIVATE_KEY=" + privateText(), "", "WECHAT_V2_CERT: is not set, and WECHAT_V2_PRIVATE_KEY is"},
		{"of two downloads", older + key + "WECHAT_V2_CERT=" + stranger + "\nWECHAT_V2_PRIVATE_KEY=" + privateText(), "", ".env:5: WECHAT_V2_CERT: is not the certificate of the private key"},
		{"swapped", older + key + "WECHAT_V2_CERT=" + privateText() + "\nWECHAT_V2_PRIVATE_KEY=" + good, "", "WECHAT_V2_PRIVATE_KEY: holds a certificate where the private key belongs"},
		{"a path", older + key + "WECHAT_V2_P12=cert/apiclient_cert.p12", "", ".env:5: WECHAT_V2_P12: "},
		{"a file", older + key + "WECHAT_V2_CERT_FILE=cert.pem\nWECHAT_V2_PRIVATE_KEY_FILE=key.pem", "live " + v2, ""},
		{"misspelt", older + key + "WECHAT_V2_CERTS=" + good, "", "did you mean WECHAT_V2_CERT?"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, err := config.Load(config.Source{
				File: []byte(row.file), FileName: ".env", ReadFile: func(path string) ([]byte, error) {
					return []byte(map[string]string{"cert.pem": good, "key.pem": privateText()}[path]), nil
				},
			}, all.Drivers)
			said := fmt.Sprint(err, c.Warnings)
			if !strings.Contains(said, row.warning) || (err == nil) != (row.want != "") {
				t.Fatalf("%s\nwant %q and %q", said, row.want, row.warning)
			}
			if strings.Contains(said, "BEGIN") {
				t.Error("A100 it shows content")
			}
			if got := summary(c); err == nil && got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}
