package config_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/config"
	"piaohao/internal/keys"
	"piaohao/internal/secret"
)

// Two protocols of one platform, which share three settings, and a platform with a sandbox of its own. They ask of their
// settings no more than to be complete and readable.
type (
	newer struct {
		AppID      string      `env:"WECHAT_APP_ID"`
		MerchantID string      `env:"WECHAT_MCH_ID"`
		PrivateKey secret.Text `env:"WECHAT_MCH_PRIVATE_KEY" key:"private"`
		APIv3Key   secret.Text `env:"WECHAT_API_V3_KEY"`
		Internal   string
	}
	older struct {
		AppID      string      `env:"WECHAT_APP_ID"`
		MerchantID string      `env:"WECHAT_MCH_ID"`
		Key        secret.Text `env:"WECHAT_MCH_KEY"`
		SignType   string      `env:"WECHAT_SIGN_TYPE" weak:"true"`
		PrivateKey secret.Text `env:"WECHAT_MCH_PRIVATE_KEY" key:"private" weak:"true"`
	}
	sandboxed struct {
		AppID      string      `env:"ALIPAY_APP_ID"`
		SellerID   string      `env:"ALIPAY_SELLER_ID" weak:"true"`
		PrivateKey secret.Text `env:"ALIPAY_PRIVATE_KEY" key:"private"`
		PublicKey  string      `env:"ALIPAY_PUBLIC_KEY" key:"public"`
	}
)

func (s *newer) Identity() (appID, merchantID string)     { return s.AppID, s.MerchantID }
func (s *older) Identity() (appID, merchantID string)     { return s.AppID, s.MerchantID }
func (s *sandboxed) Identity() (appID, merchantID string) { return s.AppID, s.SellerID }

func (s *newer) Inspect(time.Time) []channel.Finding {
	return append(missing("WECHAT_APP_ID", s.AppID, "WECHAT_MCH_ID", s.MerchantID, "WECHAT_API_V3_KEY", s.APIv3Key.Reveal()),
		unreadable("WECHAT_MCH_PRIVATE_KEY", s.PrivateKey.Reveal(), keys.Private)...)
}

func (*older) Inspect(time.Time) []channel.Finding { return nil } // leaves it to Load to see what is missing

func (s *sandboxed) Inspect(time.Time) []channel.Finding {
	return append(append(missing("ALIPAY_APP_ID", s.AppID),
		unreadable("ALIPAY_PRIVATE_KEY", s.PrivateKey.Reveal(), keys.Private)...),
		unreadable("ALIPAY_PUBLIC_KEY", s.PublicKey, keys.Public)...)
}

func missing(pairs ...string) (out []channel.Finding) {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			out = append(out, channel.Finding{Level: channel.LevelError, Code: "missing", Setting: pairs[i], Text: "is missing", Cure: "set it"})
		}
	}
	return out
}

func unreadable(name, text string, kind keys.Kind) []channel.Finding {
	found, err := keys.Parse(text)
	switch {
	case text == "":
		return missing(name, text)
	case err != nil:
		return []channel.Finding{{Level: channel.LevelError, Code: "key", Setting: name, Text: err.Error(), Cure: "copy it again"}}
	case found.Kind != kind:
		return []channel.Finding{{Level: channel.LevelError, Code: "key", Text: name + " is no " + string(kind), Cure: "swap them"}}
	}
	return []channel.Finding{{Level: channel.LevelOK, Setting: name, Text: found.Form}}
}

var drivers = []channel.Driver{
	{
		Info:     channel.Info{Channel: "newer", Method: "wechat", Prefix: "WECHAT", Products: []channel.Product{{Name: "native"}, {Name: "h5"}}},
		Settings: func() channel.Settings { return &newer{} },
	},
	{
		Info:     channel.Info{Channel: "older", Method: "wechat", Prefix: "WECHAT", Products: []channel.Product{{Name: "native"}}},
		Settings: func() channel.Settings { return &older{} },
	},
	{
		Info: channel.Info{
			Channel: "alipay", Method: "alipay", Prefix: "ALIPAY", Sandbox: true, MerchantOptional: true,
			Products: []channel.Product{{Name: "page"}, {Name: "wap"}},
		},
		Settings: func() channel.Settings { return &sandboxed{} },
	},
}

// Keys of the merchant and of the platform.
var (
	pair  = sync.OnceValue(newPair)
	other = sync.OnceValue(newPair)
)

func newPair() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}

func privateText() string {
	der, err := x509.MarshalPKCS8PrivateKey(pair())
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func publicText() string      { return publicOf(pair()) }
func otherPublicText() string { return publicOf(other()) }

func publicOf(key *rsa.PrivateKey) string {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
}

const (
	oldKey = "Hk7Lq2Zt9Xw4Bv6Nm1Rs8Yd3Fg5Jp0Ca"
	newKey = "q8Wz3Ex6Rc1Tv5Yb9Un2Im7Op4Lk0Jh6"
)

// settings puts the parts into one .env text: "shared", "new", "old", "alipay" stand for complete ones.
func settings(parts ...string) string {
	blocks := map[string]string{
		"shared": "WECHAT_APP_ID=wx2f4a8c1e6b9d3057\nWECHAT_MCH_ID=1598273640\n",
		"new":    "WECHAT_MCH_PRIVATE_KEY=" + privateText() + "\nWECHAT_API_V3_KEY=" + newKey + "\n",
		"old":    "WECHAT_MCH_KEY=" + oldKey + "\n",
		"alipay": "ALIPAY_APP_ID=2021004157389206\nALIPAY_PRIVATE_KEY=" + privateText() + "\nALIPAY_PUBLIC_KEY=" + publicText() + "\n",
		"notice": "WECHAT_NOTIFY_URL=https://pay.example.com/payment/wechat/notify\n",
		"url":    "PUBLIC_URL=https://pay.example.com\n",
	}
	var b strings.Builder
	for _, part := range parts {
		if text, ok := blocks[part]; ok {
			part = text
		}
		b.WriteString(strings.TrimSuffix(part, "\n") + "\n")
	}
	return b.String()
}

func load(file string) (config.Config, error) {
	return config.Load(config.Source{File: []byte(file), FileName: ".env"}, drivers)
}

// summary says which mode, accounts and shelved accounts came out.
func summary(c config.Config) string {
	var b strings.Builder
	b.WriteString("test")
	if c.Live {
		b.Reset()
		b.WriteString("live")
	}
	for _, a := range c.Accounts {
		fmt.Fprintf(&b, " %s", a.ID)
		if a.ReadOnly {
			b.WriteString("(old)")
		}
		if a.Livemode != c.Live {
			b.WriteString("(of the other mode)")
		}
	}
	for _, a := range c.Shelved {
		fmt.Fprintf(&b, " [%s]", a.ID)
	}
	return b.String()
}

func TestModes(t *testing.T) {
	t.Parallel()
	const (
		newID, oldID = "newer-1598273640-wx2f4a8c1e6b9d3057", "older-1598273640-wx2f4a8c1e6b9d3057"
		alipay       = "alipay-2021004157389206"
		sandbox      = "alipay-sandbox-2021004157389206"
	)
	for _, row := range []struct{ name, file, want string }{
		{"nothing", "", "test"},
		{"other programs' variables", "FLASK_ENV=production\nDATABASE_HOST=db\nSECRET_KEY=abc", "test"},
		{"empty platform variables", "WECHAT_APP_ID=\nWECHAT_SANDBOX=\nALIPAY_PRIVATE_KEY=", "test"},
		{"the sandbox variable alone", "WECHAT_SANDBOX=true", "test"},
		{"the guide's tunnel", "WECHAT_SANDBOX=true\nALIPAY_SANDBOX=true\nWECHAT_NOTIFY_URL=https://abcd1234.ngrok.io/payment/wechat/notify\nALIPAY_NOTIFY_URL=https://abcd1234.ngrok.io/payment/alipay/notify", "test"},
		{"the older key alone", settings("shared", "old", "url"), "live " + oldID},
		{"the newer keys", settings("shared", "new", "url"), "live " + newID},
		{"both: new attempts go to the newer", settings("shared", "old", "new", "url"), "live " + newID + " " + oldID + "(old)"},
		{"one platform with real money, the other unset", settings("alipay", "url"), "live " + alipay},
		{"a platform without credentials is not offered", settings("alipay", "url", "WECHAT_SANDBOX=false"), "live " + alipay},
		{"both platforms", settings("shared", "new", "alipay", "url", "WECHAT_SANDBOX=false", "ALIPAY_SANDBOX=0"), "live " + newID + " " + alipay},
		{"the platform's own sandbox", settings("alipay", "ALIPAY_SANDBOX=true"), "test " + sandbox},
		{"the platform's own sandbox may tell this machine", settings("alipay", "ALIPAY_SANDBOX=true", "ALIPAY_NOTIFY_URL=http://127.0.0.1:5000/n"), "test " + sandbox},
		{"a platform without a sandbox is simulated", settings("shared", "old", "new", "WECHAT_SANDBOX=1"), "test [" + newID + "] [" + oldID + "]"},
		{"both in test mode", settings("shared", "new", "alipay", "WECHAT_SANDBOX=yes", "ALIPAY_SANDBOX=True"), "test " + sandbox + " [" + newID + "]"},
		{"one in its sandbox, the other simulated", settings("alipay", "ALIPAY_SANDBOX=on", "WECHAT_SANDBOX=true"), "test " + sandbox},
		{"the merchant number is no part of the id where it comes later", settings("alipay", "url", "ALIPAY_SELLER_ID=2088621947305816"), "live " + alipay},
		{"samples of the guide while testing", settings("WECHAT_APP_ID=wx1234567890abcdef\nWECHAT_MCH_ID=1234567890\nWECHAT_MCH_KEY=your32digitmerchantkey\nWECHAT_SANDBOX=true"), "test"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, err := load(row.file)
			if err != nil {
				t.Fatal(err)
			}
			if got := summary(c); got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
		})
	}
}

// TestRefusedPlatforms: each mistake is one problem.
func TestRefusedPlatforms(t *testing.T) {
	t.Parallel()
	withNotice := func(u string) string { return settings("shared", "old", "url", "WECHAT_NOTIFY_URL="+u) }
	withPublic := func(u string) string { return settings("shared", "old", "PUBLIC_URL="+u) }
	for _, row := range []struct{ name, file, want string }{
		// the mode
		{"mixed", settings("shared", "old", "WECHAT_SANDBOX=true", "alipay", "url"), ".env:4: WECHAT_SANDBOX: asks for a test while ALIPAY_APP_ID"},
		{"mixed, with a platform simulated", settings("alipay", "url", "WECHAT_SANDBOX=true", "LISTEN_ADDR=0.0.0.0:5000"), "WECHAT_SANDBOX: asks for a test while ALIPAY_APP_ID"},
		{"real money without credentials", "WECHAT_SANDBOX=false\nALIPAY_SANDBOX=false", ".env:1: WECHAT_SANDBOX: says false, and no credentials"},
		{"neither true nor false", settings("shared", "old", "url", "WECHAT_SANDBOX=maybe"), ".env:5: WECHAT_SANDBOX: is neither true nor false"},
		// half a platform
		{"shared settings alone", settings("shared", "url"), ".env:1: WECHAT_APP_ID: is set, and no key that goes with it is; newer needs WECHAT_MCH_PRIVATE_KEY, WECHAT_API_V3_KEY; older needs WECHAT_MCH_KEY."},
		{"shared settings alone while testing", settings("shared", "WECHAT_SANDBOX=true"), ".env:1: WECHAT_APP_ID: is set, and no key"},
		{"what both may have alone", settings("shared", "url", "WECHAT_MCH_PRIVATE_KEY="+privateText()), "WECHAT_API_V3_KEY: is missing; set it"},
		{"the older key with what both may have", settings("shared", "old", "url", "WECHAT_MCH_PRIVATE_KEY="+privateText()), "WECHAT_API_V3_KEY: is missing; set it"},
		{"half of the newer keys", settings("shared", "WECHAT_API_V3_KEY="+newKey, "url"), "WECHAT_MCH_PRIVATE_KEY: is missing; set it"},
		{"half of the newer keys beside the older", settings("shared", "old", "WECHAT_API_V3_KEY="+newKey, "url"), "WECHAT_MCH_PRIVATE_KEY: is missing"},
		{"half of a platform while testing", settings("ALIPAY_APP_ID=2021004157389206\nALIPAY_PRIVATE_KEY="+privateText(), "ALIPAY_SANDBOX=true"), "ALIPAY_PUBLIC_KEY: is missing"},
		{"what refines others, alone", settings("ALIPAY_SELLER_ID=2088621947305816", "url"), ".env:1: ALIPAY_SELLER_ID: is set, and no key that goes with it is; alipay needs ALIPAY_PRIVATE_KEY"},
		{"a driver that does not say what is missing", settings("WECHAT_MCH_ID=1598273640", "old", "url"), "WECHAT_… lacks its app id or its merchant number"},
		{"a notice URL alone", settings("notice"), ".env:1: WECHAT_NOTIFY_URL: is set, and no credentials of its platform are"},
		{"a notice URL alone beside another platform", settings("alipay", "notice"), "WECHAT_NOTIFY_URL: is set, and no credentials of its platform are"},
		{"products alone", settings("alipay", "url", "WECHAT_PRODUCTS=native"), "WECHAT_PRODUCTS: is set, and no credentials of its platform are"},
		// names
		{"unknown name", settings("alipay", "url", "ALIPAY_PUBKEY_X=1"), "ALIPAY_PUBKEY_X: no such setting; did you mean ALIPAY_PUBLIC_KEY"},
		{"misspelt name", settings("shared", "url", "WECHAT_MCHKEY="+oldKey), ".env:4: WECHAT_MCHKEY: no such setting; did you mean WECHAT_MCH_KEY?"},
		{"name in small letters", settings("shared", "url", "wechat_mch_key="+oldKey), ".env:4: no such setting; did you mean WECHAT_MCH_KEY?"},
		{"unknown product", settings("shared", "old", "url", "WECHAT_PRODUCTS=native,jsapi"), ".env:5: WECHAT_PRODUCTS: names a product that older does not have; write a comma list of: native"},
		// samples
		{"A102 sample app id", settings("WECHAT_APP_ID=wx1234567890abcdef\nWECHAT_MCH_ID=1598273640", "old", "url"), ".env:1: WECHAT_APP_ID: is still the sample of a document"},
		{"A102 sample merchant number", settings("WECHAT_APP_ID=wx2f4a8c1e6b9d3057\nWECHAT_MCH_ID=1234567890", "old", "url"), ".env:2: WECHAT_MCH_ID: is still the sample"},
		{"A102 sample merchant key", settings("shared", "WECHAT_MCH_KEY=your32digitmerchantkey", "url"), ".env:3: WECHAT_MCH_KEY: is still the sample"},
		{"A102 sample beside real values while testing", settings("shared", "WECHAT_MCH_KEY=your32digitmerchantkey", "WECHAT_SANDBOX=true"), ".env:3: WECHAT_MCH_KEY: is still the sample"},
		{"A102 key of the platform's document", settings("shared", "WECHAT_MCH_KEY=192006250b4c09247ec02edce69f6a2d", "url"), ".env:3: WECHAT_MCH_KEY: is still the sample"},
		{"A05 key of hardly any characters", settings("shared", "WECHAT_MCH_KEY="+strings.Repeat("1", 32), "url"), ".env:3: WECHAT_MCH_KEY: has hardly any different characters"},
		{"A102 sample of the guide's private key", settings("ALIPAY_APP_ID=2021004157389206\nALIPAY_PRIVATE_KEY=-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC...\n-----END PRIVATE KEY-----\nALIPAY_PUBLIC_KEY="+publicText(), "url"), ".env:2: ALIPAY_PRIVATE_KEY: is still the sample"},
		{"A102 sample in words", settings("shared", "WECHAT_MCH_KEY=你的商户密钥", "url"), ".env:3: WECHAT_MCH_KEY: is still the sample"},
		{"A102 sample in angles", settings("shared", "WECHAT_MCH_KEY=<merchant key>", "url"), ".env:3: WECHAT_MCH_KEY: is still the sample"},
		{"A102 the simulator's app id", settings("WECHAT_APP_ID=wx0000000000005001\nWECHAT_MCH_ID=1598273640", "old", "url"), ".env:1: WECHAT_APP_ID: is a number of the built-in simulator"},
		{"A102 the simulator's merchant number", settings("WECHAT_APP_ID=wx2f4a8c1e6b9d3057\nWECHAT_MCH_ID=1900005001", "old", "url"), ".env:2: WECHAT_MCH_ID: is a number of the built-in simulator"},
		{"A102 the simulator's other app id", settings("alipay", "url", "ALIPAY_SELLER_ID=2088000000005001"), "ALIPAY_SELLER_ID: is a number of the built-in simulator"},
		{"A102 the simulator's seller", strings.Replace(settings("alipay", "url"), "2021004157389206", "2021000000005001", 1), ".env:1: ALIPAY_APP_ID: is a number of the built-in simulator"},
		// addresses
		{"no public URL", settings("shared", "old"), "PUBLIC_URL: nothing says under which URL the gateway is reached"},
		{"no public URL that both agree on", settings("shared", "old", "alipay", "notice", "ALIPAY_NOTIFY_URL=https://other.example.com/a"), "PUBLIC_URL: the platforms' notice URLs have different hosts"},
		{"public URL without TLS", withPublic("http://pay.example.com"), ".env:4: PUBLIC_URL: is not https"},
		{"public URL with a path", withPublic("https://pay.example.com/pay"), ".env:4: PUBLIC_URL: write it as https://host"},
		{"public URL of the guide", withPublic("https://yourdomain.com"), ".env:4: PUBLIC_URL: is still the sample"},
		{"public URL of this machine", withPublic("https://127.0.0.1:5000"), ".env:4: PUBLIC_URL: names a host that only this machine"},
		{"public URL of this machine by name", withPublic("https://localhost"), ".env:4: PUBLIC_URL: names a host that only this machine"},
		{"public URL of this machine, IPv6", withPublic("https://[::1]"), ".env:4: PUBLIC_URL: names a host that only this machine"},
		{"public URL of this machine, mapped", withPublic("https://[::ffff:127.0.0.1]"), ".env:4: PUBLIC_URL: names a host that only this machine"},
		{"public URL of an inner network", withPublic("https://192.168.1.7"), ".env:4: PUBLIC_URL: names a host that only this machine"},
		{"public URL of a carrier's network", withPublic("https://100.64.1.7"), ".env:4: PUBLIC_URL: names a host that only this machine"},
		{"public URL of a carrier's network, mapped", withPublic("https://[::ffff:100.64.1.7]"), ".env:4: PUBLIC_URL: names a host that only this machine"},
		{"public URL of one word", withPublic("https://piaohao"), ".env:4: PUBLIC_URL: names a host that only this machine"},
		{"public URL for inner use", withPublic("https://pay.internal"), ".env:4: PUBLIC_URL: names a host that only this machine"},
		{"notice URL without TLS", withNotice("http://pay.example.com/n"), ".env:5: WECHAT_NOTIFY_URL: is not https"},
		{"notice URL of an inner network", withNotice("https://10.0.0.7/n"), ".env:5: WECHAT_NOTIFY_URL: names a host"},
		{"notice URL with a query", withNotice("https://pay.example.com/n?shop=1"), ".env:5: WECHAT_NOTIFY_URL: has a query"},
		{"notice URL with an empty query", withNotice("https://pay.example.com/n?"), ".env:5: WECHAT_NOTIFY_URL: has a query"},
		{"notice URL with a fragment", withNotice("https://pay.example.com/n#x"), ".env:5: WECHAT_NOTIFY_URL: write it as https://host/path"},
		{"notice URL with a user", withNotice("https://u:p@pay.example.com/n"), ".env:5: WECHAT_NOTIFY_URL: write it as https://host/path"},
		{"notice URL without a path", withNotice("https://pay.example.com"), ".env:5: WECHAT_NOTIFY_URL: has no path"},
		{"notice URL with the root", withNotice("https://pay.example.com/"), ".env:5: WECHAT_NOTIFY_URL: has no path"},
		{"notice URL with a wildcard", withNotice("https://pay.example.com/{x}"), ".env:5: WECHAT_NOTIFY_URL: has no path, or one that cannot be used"},
		{"notice URL that climbs", withNotice("https://pay.example.com/a/../v1/x"), ".env:5: WECHAT_NOTIFY_URL: has no path, or one that cannot be used"},
		{"notice URL of the API", withNotice("https://pay.example.com/v1/payments"), ".env:5: WECHAT_NOTIFY_URL: has a path that the gateway itself uses"},
		{"notice URL of the guide", withNotice("https://yourdomain.com/payment/wechat/notify"), ".env:5: WECHAT_NOTIFY_URL: is still the sample"},
		{"notice URL too long", withNotice("https://pay.example.com/" + strings.Repeat("n", 255)), ".env:5: WECHAT_NOTIFY_URL: is longer than 255"},
		{"A87 return URL of javascript", settings("shared", "old", "url", "WECHAT_RETURN_URL=javascript:alert(1)"), ".env:5: WECHAT_RETURN_URL: write it as https://host/path"},
		{"A87 return URL without a host", settings("shared", "old", "url", "WECHAT_RETURN_URL=https:evil"), ".env:5: WECHAT_RETURN_URL: write it as https://host/path"},
		{"return URL without TLS", settings("shared", "old", "url", "WECHAT_RETURN_URL=http://shop.example.com/"), ".env:5: WECHAT_RETURN_URL: is not https"},
		// what belongs to test mode
		{"simulator beside real money", settings("shared", "old", "url", "SIM_ADDR=127.0.0.1:5001"), ".env:5: SIM_ADDR: belongs to test mode"},
		{"another simulator beside real money", settings("shared", "old", "url", "SIM_PUBLIC_URL=http://127.0.0.1:5001"), ".env:5: SIM_PUBLIC_URL: belongs to test mode"},
		{"simulated cashier beside real money", settings("shared", "old", "url", "SIM_CASHIER_URL=http://127.0.0.1:5001"), ".env:5: SIM_CASHIER_URL: belongs to test mode"},
		{"demo shop beside real money", settings("shared", "old", "url", "DEMO_ADDR=127.0.0.1:5002"), ".env:5: DEMO_ADDR: belongs to test mode"},
		{"public test beside real money", settings("shared", "old", "url", "ALLOW_PUBLIC_TEST=1"), ".env:5: ALLOW_PUBLIC_TEST: belongs to test mode"},
		{"a value in another encoding", settings("shared", "url", "WECHAT_MCH_KEY=\xc3\xdc\xd4\xbf"), ".env:4: WECHAT_MCH_KEY: the file is not UTF-8 text; save it as UTF-8"},
		{"words in another order", settings("shared", "WECHAT_MCH_PRIVATE_KEY="+privateText(), "WECHAT_API_KEY_V3="+newKey, "url"), "WECHAT_API_KEY_V3: no such setting; did you mean WECHAT_API_V3_KEY?"},
		// keys
		{"name of a file in place of a key", settings("ALIPAY_APP_ID=2021004157389206\nALIPAY_PRIVATE_KEY=/etc/piaohao/app.pem\nALIPAY_PUBLIC_KEY="+publicText(), "url"), ".env:2: ALIPAY_PRIVATE_KEY: is the name of a file, not its content; give the variable the ending _FILE"},
		{"key that is none", settings("ALIPAY_APP_ID=2021004157389206\nALIPAY_PRIVATE_KEY=hunter2hunter2\nALIPAY_PUBLIC_KEY="+publicText(), "url"), ".env:2: ALIPAY_PRIVATE_KEY: is neither PEM nor base64; copy it again"},
		{"key of the other kind", settings("ALIPAY_APP_ID=2021004157389206\nALIPAY_PRIVATE_KEY="+publicText()+"\nALIPAY_PUBLIC_KEY="+publicText(), "url"), "ALIPAY_PRIVATE_KEY is no private key; swap them"},
		{"key that is not complete is not also missing", settings("ALIPAY_APP_ID=2021004157389206\nALIPAY_PRIVATE_KEY=-----BEGIN PRIVATE KEY-----\nMIIE\nALIPAY_PUBLIC_KEY="+publicText(), "url"), ".env:2: ALIPAY_PRIVATE_KEY: the key is not complete"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(row.file)
			var problems config.Problems
			if !errors.As(err, &problems) {
				t.Fatal("accepted")
			}
			if len(problems) != 1 || !strings.Contains(problems.Error(), row.want) {
				t.Errorf("%d problems:\n%v\nwant one with\n%s", len(problems), problems, row.want)
			}
			for _, content := range []string{oldKey, newKey, privateText()[40:80], publicText()[40:80], "hunter2"} {
				if strings.Contains(err.Error(), content) {
					t.Error("the problem shows content")
				}
			}
		})
	}
}

// TestAllProblemsOfAPlatform: what is wrong for different reasons is reported together.
func TestAllProblemsOfAPlatform(t *testing.T) {
	t.Parallel()
	file := settings("WECHAT_APP_ID=wx1234567890abcdef\nWECHAT_MCH_KEY=" + oldKey + "\nWECHAT_API_V3_KEY=" + newKey + "\nDEMO_ADDR=127.0.0.1:1\nLOG_LEVEL=loud")
	var got []string
	for _, p := range problemsOf(t, file, drivers) {
		got = append(got, fmt.Sprintf("%d %s %s", p.Line, p.Setting, p.Code))
	}
	want := "1 WECHAT_APP_ID placeholder\n4 DEMO_ADDR test_only\n5 LOG_LEVEL invalid\n0 WECHAT_MCH_ID missing\n0 WECHAT_MCH_PRIVATE_KEY missing\n0 PUBLIC_URL missing"
	if strings.Join(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
	}
}

func TestLiveSettings(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, file string
		get        func(config.Config) string
		want       string
	}{
		{"no simulator", settings("shared", "old", "url"), func(c config.Config) string { return c.SimAddr + c.SimURL + c.SimCashier }, "off"},
		{"no demo shop", settings("shared", "old", "url", "DEMO_ADDR=off"), func(c config.Config) string { return c.DemoAddr }, "off"},
		{"a database of its own", settings("shared", "old", "url"), database, "sqlite:data/live.db"},
		{"any address", settings("shared", "old", "url", "LISTEN_ADDR=:80"), listen, ":80"},
		{"an address of this machine otherwise", settings("shared", "old", "url"), listen, "127.0.0.1:5000"},
		{"no proxy before a public listener", settings("shared", "old", "url", "LISTEN_ADDR=:80"), proxies, ""},
		{"payers may return to us only", settings("shared", "old", "url"), origins, "https://pay.example.com"},
		{"payers may return to the shop", settings("shared", "old", "url", "RETURN_URL_ORIGINS=https://shop.example.com"), origins, "https://shop.example.com"},
		{"the public URL follows the notices'", settings("shared", "old", "notice"), public, "https://pay.example.com"},
		{"the public URL follows both notices'", settings("shared", "old", "notice", "alipay", "ALIPAY_NOTIFY_URL=https://PAY.example.com/a"), public, "https://pay.example.com"},
		{"notices may come to another host", settings("shared", "old", "notice", "PUBLIC_URL=https://cashier.example.com"), public, "https://cashier.example.com"},
		{"the guide's return page is our own", settings("shared", "old", "url", "WECHAT_RETURN_URL=https://pay.example.com/payment/success"), back, ""},
		{"a return page of the shop's", settings("shared", "old", "url", "WECHAT_RETURN_URL=https://shop.example.com/done?a=1"), back, "https://shop.example.com/done?a=1"},
		{"all products", settings("shared", "new", "url"), products, "native h5"},
		{"one product", settings("shared", "new", "url", "WECHAT_PRODUCTS= h5 "), products, "h5"},
		{"the file is named", settings("shared", "old", "url"), func(c config.Config) string { return c.EnvFile }, ".env"},
		{"a setting without its key is a warning", settings("shared", "new", "url", "WECHAT_SIGN_TYPE=MD5"), func(c config.Config) string { return c.Warnings.Error() }, ".env:33: WECHAT_SIGN_TYPE: has no effect without the key of older; set that key or delete it"},
		{"an unsafe database for real money is a warning", settings("shared", "new", "url", "ALLOW_UNSAFE_DATABASE=1"), func(c config.Config) string { return c.Warnings[0].Setting + " " + c.Warnings[0].Code }, "ALLOW_UNSAFE_DATABASE unsafe_database"},
		{"samples while testing are a warning", settings("WECHAT_MCH_KEY=your32digitmerchantkey\nWECHAT_SANDBOX=true"), func(c config.Config) string { return c.Warnings[0].Setting + " " + c.Warnings[0].Code }, "WECHAT_MCH_KEY placeholder"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			c, err := load(row.file)
			if err != nil {
				t.Fatal(err)
			}
			if got := row.get(c); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func back(c config.Config) string { return c.Accounts[0].ReturnURL }

func products(c config.Config) string {
	var names []string
	for _, p := range c.Accounts[0].Products {
		names = append(names, p.Name)
	}
	return strings.Join(names, " ")
}

func TestWhereSettingsComeFrom(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"key.pem": privateText(), "key.der": string(der()), "mark.pem": "\ufeff" + privateText() + "\r\n", "empty": " \n",
		"large": strings.Repeat("A", 64<<10+1),
	}
	readFile := func(path string) ([]byte, error) {
		if path == "denied" {
			return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrPermission}
		}
		if text, ok := files[path]; ok {
			return []byte(text), nil
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	base := map[string]string{"ALIPAY_APP_ID": "2021004157389206", "ALIPAY_PUBLIC_KEY": publicText(), "PUBLIC_URL": "https://pay.example.com"}
	for _, row := range []struct {
		name string
		env  map[string]string // beside base
		file string
		want string // of a problem, "" = the private key arrives
	}{
		{"a file", map[string]string{"ALIPAY_PRIVATE_KEY_FILE": "key.pem"}, "", ""},
		{"a file in DER", map[string]string{"ALIPAY_PRIVATE_KEY_FILE": "key.der"}, "", ""},
		{"a file with a byte order mark", map[string]string{"ALIPAY_PRIVATE_KEY_FILE": `"mark.pem"`}, "", ""},
		{"a file named in the .env", nil, "ALIPAY_PRIVATE_KEY_FILE=key.pem", ""},
		{"quotes that Docker leaves", map[string]string{"ALIPAY_PRIVATE_KEY": `"` + privateText() + `"`}, "", ""},
		{"single quotes that Docker leaves", map[string]string{"ALIPAY_PRIVATE_KEY": `'` + privateText() + `'`}, "", ""},
		{"written line ends", map[string]string{"ALIPAY_PRIVATE_KEY": strings.ReplaceAll(privateText(), "\n", `\n`)}, "", ""},
		{"the environment wins over the file", map[string]string{"ALIPAY_PRIVATE_KEY": privateText()}, "ALIPAY_PRIVATE_KEY=broken", ""},
		{"an empty environment does not", map[string]string{"ALIPAY_PRIVATE_KEY": ""}, "ALIPAY_PRIVATE_KEY=" + privateText(), ""},
		{"a problem of the environment names no file", map[string]string{"ALIPAY_PRIVATE_KEY": "broken"}, "ALIPAY_PRIVATE_KEY=" + privateText(), "ALIPAY_PRIVATE_KEY: is neither PEM nor base64; copy it again"},
		{"both", map[string]string{"ALIPAY_PRIVATE_KEY_FILE": "key.pem", "ALIPAY_PRIVATE_KEY": privateText()}, "", "ALIPAY_PRIVATE_KEY_FILE: this variable and the one without _FILE are both set"},
		{"both, in two places", map[string]string{"ALIPAY_PRIVATE_KEY_FILE": "key.pem"}, "ALIPAY_PRIVATE_KEY=" + privateText(), "ALIPAY_PRIVATE_KEY_FILE: this variable"},
		{"no such file", map[string]string{"ALIPAY_PRIVATE_KEY_FILE": "gone7"}, "", "ALIPAY_PRIVATE_KEY_FILE: there is no such file"},
		{"no such file, in the .env", nil, "ALIPAY_PRIVATE_KEY_FILE=gone7", ".env:1: ALIPAY_PRIVATE_KEY_FILE: there is no such file"},
		{"a file that may not be read", map[string]string{"ALIPAY_PRIVATE_KEY_FILE": "denied"}, "", "ALIPAY_PRIVATE_KEY_FILE: the file may not be read; make it readable"},
		{"an empty file", map[string]string{"ALIPAY_PRIVATE_KEY_FILE": "empty"}, "", "ALIPAY_PRIVATE_KEY_FILE: the file is empty"},
		{"a large file", map[string]string{"ALIPAY_PRIVATE_KEY_FILE": "large"}, "", "ALIPAY_PRIVATE_KEY_FILE: the file has more than 64 KiB"},
		{"A100 a key in place of a name", map[string]string{"ALIPAY_PRIVATE_KEY_FILE": privateText()}, "", "ALIPAY_PRIVATE_KEY_FILE: holds a key, not the name of a file"},
		{"a setting that holds no key has no file", map[string]string{"ALIPAY_PRIVATE_KEY": privateText(), "ALIPAY_APP_ID_FILE": "key.pem"}, "", "ALIPAY_APP_ID_FILE: no such setting"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			env := maps.Clone(base)
			maps.Copy(env, row.env)
			c, err := config.Load(config.Source{Env: env, File: []byte(row.file), FileName: ".env", ReadFile: readFile}, drivers)
			if row.want != "" {
				var problems config.Problems
				if !errors.As(err, &problems) || len(problems) != 1 || !strings.HasPrefix(problems.Error(), row.want) {
					t.Fatalf("got\n%v\nwant one problem that begins with\n%s", err, row.want)
				}
				if strings.Contains(problems.Error(), "gone7") || strings.Contains(problems.Error(), privateText()[40:80]) {
					t.Error("the problem shows content")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			found, err := keys.Parse(c.Accounts[0].Settings.(*sandboxed).PrivateKey.Reveal())
			if err != nil || !found.Private.Equal(pair()) {
				t.Errorf("the key did not arrive: %v", err)
			}
		})
	}
	t.Run("files are refused where nothing reads them", func(t *testing.T) {
		t.Parallel()
		env := maps.Clone(base)
		env["ALIPAY_PRIVATE_KEY_FILE"] = "key.pem"
		if _, err := config.Load(config.Source{Env: env}, drivers); err == nil || !strings.Contains(err.Error(), "files are not read here") {
			t.Error(err)
		}
	})
}

func der() []byte {
	found, _ := base64.StdEncoding.DecodeString(strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(privateText(),
		"-----BEGIN PRIVATE KEY-----\n"), "\n-----END PRIVATE KEY-----"), "\n", ""))
	return found
}

// TestClock: drivers look at certificates with the clock that they are handed.
func TestClock(t *testing.T) {
	t.Parallel()
	var asked time.Time
	now := time.Date(2031, 5, 1, 0, 0, 0, 0, time.UTC)
	driver := drivers[2]
	driver.Settings = func() channel.Settings { return &clocked{asked: &asked} }
	_, _ = config.Load(config.Source{Env: map[string]string{"ALIPAY_APP_ID": "2021004157389206"}, Now: func() time.Time { return now }}, []channel.Driver{driver})
	if !asked.Equal(now) {
		t.Errorf("the driver was told %v", asked)
	}
}

type clocked struct {
	AppID string `env:"ALIPAY_APP_ID"`
	asked *time.Time
}

func (s *clocked) Identity() (appID, merchantID string) { return s.AppID, "" }
func (s *clocked) Inspect(now time.Time) []channel.Finding {
	*s.asked = now
	return nil
}
