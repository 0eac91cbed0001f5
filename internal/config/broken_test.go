package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"piaohao/internal/channel"
	"piaohao/internal/channel/all"
	"piaohao/internal/config"
)

// realSettings are complete settings of this build's drivers, in the order in which the .env has them.
func realSettings() [][2]string {
	other := otherPublicText()
	return [][2]string{
		{"WECHAT_APP_ID", "wx2f4a8c1e6b9d3057 # 公众号"},
		{"WECHAT_MCH_ID", "1598273640"},
		{"WECHAT_MCH_SERIAL_NO", "5A3C8F0B7D2E914C6F1B8A3D5E7C9F0B2D4A6C8E"},
		{"WECHAT_MCH_PRIVATE_KEY", privateText()},
		{"WECHAT_API_V3_KEY", newKey},
		{"WECHAT_PUBLIC_KEY_ID", "PUB_KEY_ID_0115982736402026112700291800001234"},
		{"WECHAT_PUBLIC_KEY", other},
		{"WECHAT_NOTIFY_URL", "https://pay.example.com/payment/wechat/notify"},
		{"ALIPAY_APP_ID", "2021004157389206"},
		{"ALIPAY_PRIVATE_KEY", privateText()},
		{"ALIPAY_PUBLIC_KEY", other},
		{"ALIPAY_NOTIFY_URL", "https://pay.example.com/payment/alipay/notify"},
	}
}

// TestBrokenConfigurations are mistakes that users of such software report again and again: lost line ends and headers
// of keys, the wrong key, the wrong file, half a set. Each is one finding that names the cure: of Load, or of the
// driver whose setting it is.
func TestBrokenConfigurations(t *testing.T) {
	t.Parallel()
	private := strings.Split(privateText(), "\n")
	for _, row := range []struct {
		name    string
		change  map[string]string // values in place of the complete ones; "-" leaves the variable out
		more    string            // lines at the end
		code    string
		setting string
		cure    string
	}{
		{
			"a key copied without its last line",
			map[string]string{"ALIPAY_PRIVATE_KEY": strings.Join(private[:len(private)-1], "\n")},
			"",
			"unreadable", "ALIPAY_PRIVATE_KEY", "copy the whole file of the key again",
		},
		{
			"a key with a line of something else",
			map[string]string{"ALIPAY_PRIVATE_KEY": private[0] + "\n应用私钥：\n" + strings.Join(private[1:], "\n")},
			"",
			"unreadable", "ALIPAY_PRIVATE_KEY", "copy the whole file of the key again",
		},
		{
			"a bare key of which a line is lost",
			map[string]string{"ALIPAY_PRIVATE_KEY": strings.Join(append(private[1:4:4], private[6:len(private)-1]...), "\n")},
			"",
			"unreadable", "ALIPAY_PRIVATE_KEY", "put that whole value in double quotes",
		},
		{
			"a quote that is not closed",
			map[string]string{"ALIPAY_PRIVATE_KEY": `"` + privateText()},
			"",
			"unreadable", "ALIPAY_PRIVATE_KEY", "end it with the same quote",
		},
		{
			"a key below its variable",
			map[string]string{"ALIPAY_PRIVATE_KEY": "\n" + privateText()},
			"",
			"unreadable", "ALIPAY_PRIVATE_KEY", "put that whole value in double quotes",
		},
		{
			"the path of a key in place of the key",
			map[string]string{"WECHAT_MCH_PRIVATE_KEY": "./cert/apiclient_key.pem"},
			"",
			"path", "WECHAT_MCH_PRIVATE_KEY", "_FILE",
		},
		{
			"the file of a key is elsewhere",
			map[string]string{"WECHAT_MCH_PRIVATE_KEY": "-"},
			"WECHAT_MCH_PRIVATE_KEY_FILE=cert/apiclient_key.pem",
			"file", "WECHAT_MCH_PRIVATE_KEY_FILE", "write its path as seen from the folder",
		},
		{
			"a key and its file", nil, "WECHAT_MCH_PRIVATE_KEY_FILE=cert/apiclient_key.pem",
			"both", "WECHAT_MCH_PRIVATE_KEY_FILE", "keep one of the two",
		},
		{
			"a name of another library",
			map[string]string{"WECHAT_API_V3_KEY": "-"},
			"WECHAT_APIV3_KEY=" + newKey,
			"unknown", "WECHAT_APIV3_KEY", "did you mean WECHAT_API_V3_KEY?",
		},
		{
			"the test block and the live block", nil, "WECHAT_MCH_ID=1598273640",
			"duplicate", "WECHAT_MCH_ID", "keep one of the two lines",
		},
		{
			"the sample is still there",
			map[string]string{"WECHAT_APP_ID": "wx1234567890abcdef          # 微信公众号/小程序AppID"},
			"",
			"placeholder", "WECHAT_APP_ID", "put your own value there",
		},
		{
			"the guide's key is still there",
			map[string]string{"ALIPAY_PUBLIC_KEY": "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA...\n-----END PUBLIC KEY-----"},
			"",
			"placeholder", "ALIPAY_PUBLIC_KEY", "put your own value there",
		},
		{
			"a notice URL with a query",
			map[string]string{"WECHAT_NOTIFY_URL": "https://pay.example.com/notify?shop=7"},
			"",
			"query", "WECHAT_NOTIFY_URL", "delete the ? and what follows",
		},
		{
			"a notice URL without TLS",
			map[string]string{"ALIPAY_NOTIFY_URL": "http://pay.example.com/payment/alipay/notify"},
			"PUBLIC_URL=https://pay.example.com",
			"http", "ALIPAY_NOTIFY_URL", "write https://",
		},
		{
			"one platform in test, the other live", nil, "WECHAT_SANDBOX=true",
			"mixed", "WECHAT_SANDBOX", "set both sandbox variables to the same",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			problems := problemsOf(t, realFile(row.change, row.more), all.Drivers)
			if len(problems) != 1 {
				t.Fatalf("%d problems:\n%v", len(problems), problems)
			}
			p := problems[0]
			if p.Code != row.code || p.Setting != row.setting || !strings.Contains(p.Text+"; "+p.Cure, row.cure) || p.File != ".env" || p.Line == 0 {
				t.Errorf("got %s %s\nwant %s %s with %q", p.Code, p, row.code, row.setting, row.cure)
			}
		})
	}
	t.Run("the complete settings are not broken", func(t *testing.T) {
		t.Parallel()
		c, err := config.Load(config.Source{File: []byte(realFile(nil, "")), FileName: ".env"}, all.Drivers)
		if err != nil || !c.Live || len(c.Accounts) != 2 {
			t.Errorf("%v, live %v", err, c.Live)
		}
	})
}

func realFile(change map[string]string, more string) string {
	var b strings.Builder
	for _, s := range realSettings() {
		value := s[1]
		if changed, ok := change[s[0]]; ok {
			value = changed
		}
		if value != "-" {
			fmt.Fprintf(&b, "%s=%s\n", s[0], value)
		}
	}
	return b.String() + more + "\n"
}

func problemsOf(t *testing.T, file string, drivers []channel.Driver) config.Problems {
	t.Helper()
	_, err := config.Load(config.Source{
		File: []byte(file), FileName: ".env",
		ReadFile: func(string) ([]byte, error) { return nil, fs.ErrNotExist },
	}, drivers)
	var problems config.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("accepted: %v", err)
	}
	return problems
}

// TestGuide feeds the guide's blocks: as printed, while testing, and with the merchant's own values in their places.
func TestGuide(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/guide.env")
	if err != nil {
		t.Fatal(err)
	}
	printed := string(text)
	trying := strings.ReplaceAll(printed, "_SANDBOX=false", "_SANDBOX=true")
	own := strings.NewReplacer(
		"wx1234567890abcdef", "wx2f4a8c1e6b9d3057", "1234567890 ", "1598273640 ", "your32digitmerchantkey", oldKey,
		"2021000000000000", "2021004157389206", "yourdomain.com", "pay.example.com",
		"-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC...\n-----END PRIVATE KEY-----", privateText(),
		"-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA...\n-----END PUBLIC KEY-----", otherPublicText(),
	)
	for _, row := range []struct{ name, file, want string }{
		{"with own values", own.Replace(printed), "live older-1598273640-wx2f4a8c1e6b9d3057 alipay-2021004157389206"},
		{"with own values while testing", own.Replace(trying), "test alipay-sandbox-2021004157389206 [older-1598273640-wx2f4a8c1e6b9d3057]"},
		{"as printed while testing", trying, "test"},
	} {
		for end, file := range map[string]string{"LF": row.file, "CRLF and a byte order mark": "\ufeff" + strings.ReplaceAll(row.file, "\n", "\r\n")} {
			t.Run(row.name+", "+end, func(t *testing.T) {
				t.Parallel()
				c, err := load(file)
				if err != nil {
					t.Fatal(err)
				}
				if got := summary(c); got != row.want {
					t.Errorf("got  %s\nwant %s", got, row.want)
				}
				if c.Live && (c.PublicURL != "https://pay.example.com" || c.Accounts[0].ReturnURL != "" || c.Accounts[0].NotifyURL != "https://pay.example.com/payment/wechat/notify") {
					t.Errorf("URLs %q %q %q", c.PublicURL, c.Accounts[0].ReturnURL, c.Accounts[0].NotifyURL)
				}
			})
		}
	}
	t.Run("A102 as printed", func(t *testing.T) {
		t.Parallel()
		var got []string
		for _, p := range problemsOf(t, printed, drivers) {
			got = append(got, fmt.Sprintf("%d %s %s", p.Line, p.Setting, p.Code))
		}
		want := `2 WECHAT_APP_ID placeholder
3 WECHAT_MCH_ID placeholder
4 WECHAT_MCH_KEY placeholder
5 WECHAT_NOTIFY_URL placeholder
6 WECHAT_RETURN_URL placeholder
9 ALIPAY_APP_ID placeholder
10 ALIPAY_NOTIFY_URL placeholder
11 ALIPAY_RETURN_URL placeholder
15 ALIPAY_PRIVATE_KEY placeholder
19 ALIPAY_PUBLIC_KEY placeholder`
		if strings.Join(got, "\n") != want {
			t.Errorf("got\n%s", strings.Join(got, "\n"))
		}
	})
}

// TestNothingOfTheFileIsShown puts a word into every place of a complete file: whatever it breaks, no problem and no
// warning repeats it.
func TestNothingOfTheFileIsShown(t *testing.T) {
	t.Parallel()
	const (
		canary = "canary7canary"
		step   = 17 // characters between two places: every line is met, and every kind of value
	)
	whole := realFile(nil, "WECHAT_SANDBOX=false\nWECHAT_PRODUCTS=native\nTRUSTED_PROXIES=10.0.0.7\nDATABASE_URL=postgres://u:p@db/x")
	for name, file := range map[string]string{"as it is": whole, "quoted": strings.NewReplacer("=-----", "=\"-----", "KEY-----\nW", "KEY-----\"\nW").Replace(whole)} {
		t.Run("A100 a file "+name, func(t *testing.T) {
			t.Parallel()
			refused := 0
			for at := 0; at <= len(file); at += step {
				c, err := config.Load(config.Source{File: []byte(file[:at] + canary + file[at:]), FileName: ".env"}, all.Drivers)
				if err != nil {
					refused++
				}
				if text := fmt.Sprint(err, c.Warnings); strings.Contains(text, canary) {
					t.Fatalf("at %d: %s", at, text)
				}
			}
			if refused == 0 {
				t.Error("nothing was refused")
			}
		})
	}
}
