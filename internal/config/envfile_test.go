package config

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"piaohao/internal/keys"
)

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func privatePEM() string {
	der, err := x509.MarshalPKCS8PrivateKey(testKey())
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func publicPEM() string {
	der, err := x509.MarshalPKIXPublicKey(&testKey().PublicKey)
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
}

// body is a PEM text without its first and last line.
func body(text string) string {
	_, rest, _ := strings.Cut(text, "\n")
	return rest[:strings.LastIndexByte(rest, '\n')]
}

// wrapped breaks base64 text into lines.
func wrapped(text string, width int) string {
	text = strings.ReplaceAll(text, "\n", "")
	var lines []string
	for len(text) > width {
		lines, text = append(lines, text[:width]), text[width:]
	}
	return strings.Join(append(lines, text), "\n")
}

// TestFormsOfKeys feeds each way in which people write a key into a .env: the key parses, and the lines after it are
// read.
func TestFormsOfKeys(t *testing.T) {
	t.Parallel()
	private, public := privatePEM(), publicPEM()
	oneLine := strings.ReplaceAll(body(private), "\n", "")
	header, footer := "-----BEGIN PRIVATE KEY-----\n", "\n-----END PRIVATE KEY-----"
	pkcs1 := strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{
		Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(testKey()),
	})))
	for _, row := range []struct{ name, file string }{
		{"unquoted over many lines, as the guide prints it", "KEY=" + private},
		{"unquoted over three lines", "KEY=" + header + oneLine + footer},
		{"body only, without BEGIN and END, over many lines", "KEY=" + body(private)},
		{"body only, broken as base64 breaks lines", "KEY=" + wrapped(oneLine, 76)},
		{"body only, of PKCS#1", "KEY=" + body(pkcs1)},
		{"private, then public key, both unquoted", "KEY=" + private + "\nPUBLIC=" + public},
		{"private, then public key, both bodies only", "KEY=" + body(private) + "\nPUBLIC=" + body(public)},
		{"in double quotes over many lines", `KEY="` + private + `"`},
		{"in single quotes over many lines", `KEY='` + private + `'`},
		{"in double quotes with an empty line at the end", "KEY=\"" + private + "\n\"  # 应用私钥"},
		{"exported", `export KEY="` + private + `"`},
		{"exported and unquoted", "export\tKEY=" + private},
		{"in double quotes with written line ends", `KEY="` + strings.ReplaceAll(private, "\n", `\n`) + `"`},
		{"unquoted with written line ends", `KEY=` + strings.ReplaceAll(private, "\n", `\n`)},
		{"unquoted with written CRLF line ends", `KEY=` + strings.ReplaceAll(private, "\n", `\r\n`) + ` # 私钥`},
		{"on one line of base64", "KEY=" + oneLine},
		{"on one line of base64 with padding and a comment", "KEY=" + oneLine + " # 应用私钥"},
		{"on one line with its armour", "KEY=" + strings.ReplaceAll(private, "\n", "")},
		{"in a file with a byte order mark", "\ufeffKEY=" + private},
		{"with a comment in Chinese after the last line", "KEY=" + private + "  # 应用私钥，勿泄露"},
		{"with spaces around the =", "KEY = " + private},
		{"with indented lines", "  KEY=" + strings.ReplaceAll(private, "\n", "\n  ")},
		{"with an empty line between", "KEY=" + strings.Replace(private, "\n", "\n\n", 3)},
	} {
		mark, value := "", row.file
		if rest, ok := strings.CutPrefix(value, "\ufeff"); ok {
			mark, value = "\ufeff", rest
		}
		text := mark + "FIRST=1\n" + value + "\nDEBUG=\nAFTER=after # 之后\n"
		for end, file := range map[string]string{"LF": text, "CRLF": strings.ReplaceAll(text, "\n", "\r\n")} {
			t.Run(row.name+", "+end, func(t *testing.T) {
				t.Parallel()
				vars, problems := parseEnv([]byte(file), ".env")
				if len(problems) > 0 {
					t.Fatal(problems)
				}
				found, err := keys.Parse(vars["KEY"].text)
				if err != nil || !found.Private.Equal(testKey()) {
					t.Errorf("the key did not survive: %v", err)
				}
				if public, ok := vars["PUBLIC"]; ok {
					if found, err := keys.Parse(public.text); err != nil || !found.Public.Equal(&testKey().PublicKey) {
						t.Errorf("the public key did not survive: %v", err)
					}
				}
				if vars["FIRST"].text != "1" || vars["AFTER"].text != "after" || vars["KEY"].line != 2 {
					t.Error("the lines around the key did not survive")
				}
				if _, ok := vars["DEBUG"]; !ok || len(vars) > 5 {
					t.Errorf("%d variables; DEBUG read: %v", len(vars), ok)
				}
			})
		}
	}
}

func TestBundleIsOneValue(t *testing.T) {
	t.Parallel()
	block := publicPEM()
	vars, problems := parseEnv([]byte("ROOT="+block+"\n\n# 第二张\n"+block+"\n\n# the end\nAFTER=1\n"), ".env")
	if len(problems) > 0 || strings.Count(vars["ROOT"].text, armourBegin) != 2 || vars["AFTER"].text != "1" {
		t.Errorf("%d blocks, AFTER %q, %v", strings.Count(vars["ROOT"].text, armourBegin), vars["AFTER"].text, problems)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ name, file, want string }{
		{"plain", `A=b`, "b"},
		{"comment after a space", `A=b # c`, "b"},
		{"comment in Chinese", "A=wx1234567890abcdef          # 微信公众号/小程序AppID", "wx1234567890abcdef"},
		{"comment after a full-width space", "A=b\u3000# 说明", "b"},
		{"# without a space belongs to the value", `A=b#c`, "b#c"},
		{"# as the first character belongs to the value", `A=#c`, "#c"},
		{"nothing but a comment", `A= # c`, ""},
		{"$ is no reference", `A=a$HOME$def${X}`, "a$HOME$def${X}"},
		{"$ in double quotes", `A="a$HOME"`, "a$HOME"},
		{"= in the value", `A=b=c==`, "b=c=="},
		{"quotes inside of a value", `A=b"c"`, `b"c"`},
		{"spaces kept in quotes", `A=" b "`, " b "},
		{"# kept in quotes", `A="b # c" # d`, "b # c"},
		{"escapes in double quotes", `A="\"\\\n\t\r\x"`, "\"\\\n\t\r\\x"},
		{"no escapes in single quotes", `A='\n"\'`, `\n"\`},
		{"lines in quotes end as they do elsewhere", "A=\"a\r\nb\"\r\n", "a\nb"},
		{"written line ends of PEM", `A=-----BEGIN X-----\nAAAA\r\n-----END X-----`, "-----BEGIN X-----\nAAAA\n-----END X-----"},
		{"empty quotes", `A=""`, ""},
		{"short base64 takes no lines", "A=QUJD\nDEBUG=", "QUJD"},
		{"long base64 that is no key takes no lines", "A=" + strings.Repeat("QUJD", 20) + "\nDEBUG=", strings.Repeat("QUJD", 20)},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			vars, problems := parseEnv([]byte(row.file), ".env")
			if len(problems) > 0 || vars["A"].text != row.want {
				t.Errorf("got %q, want %q; %v", vars["A"].text, row.want, problems)
			}
		})
	}
}

func TestBrokenFiles(t *testing.T) {
	t.Parallel()
	private := privatePEM()
	lines := strings.Split(private, "\n")
	lines[3] = lines[3][:30] + "*" + lines[3][31:]
	broken := strings.Join(lines, "\n")
	torn := strings.Join(append(lines[1:3:3], lines[5:len(lines)-1]...), "\n")
	for _, row := range []struct{ name, file, want string }{
		{"no assignment", "A_B=1\nhello\nC_D=2", ".env:2: A_B: the line is no NAME=value"},
		{"no assignment, with distance", "A_B=1\n\nhello\nC_D=2", ".env:3: the line is no NAME=value"},
		{"key of which a line is damaged", "A_B=" + broken + "\nC_D=2", ".env:1: A_B: the key is not complete"},
		{"key without END", "A_B=" + strings.TrimSuffix(private, "\n-----END PRIVATE KEY-----") + "\nC_D=2", ".env:1: A_B: the key is not complete"},
		{"key without END at the end", "C_D=2\nA_B=" + lines[0] + "\n" + lines[1], ".env:2: A_B: the key is not complete"},
		{"bare key of which lines are missing", "A_B=" + torn + "\nC_D=2", ".env:2: A_B: the line is no NAME=value; if it belongs to the value above"},
		{"key below an empty variable", "A_B=\n" + private + "\nC_D=2", ".env:2: A_B: the line is no NAME=value; if it belongs to the value above"},
		{"quote that nothing ends", "A_B=\"x\nC_D=2", ".env:1: A_B: the value begins with a quote that no line ends"},
		{"quoted key that nothing ends", "A_B=\"" + private + "\nC_D=2", ".env:1: A_B: the value begins with a quote"},
		{"text after the quote", "A_B=\"x\" y\nC_D=2", ".env:1: A_B: there is text after the closing quote"},
		{"twice", "A_B=1\nC_D=2\nexport A_B=1", ".env:3: A_B: the variable is set twice"},
		{"twice, in a name that may be of a key", "aB9=1\nC_D=2\naB9=1", ".env:3: the variable is set twice"},
		{"base64 as long as it says, and no key", "A_B=" + wrapped(base64.StdEncoding.EncodeToString(append([]byte{0x30, 0x81, 117, 4, 115}, make([]byte, 115)...)), 76) + "\nC_D=2", ".env:2: A_B: the line is no NAME=value"},
		{"lines of which one looks like an assignment", "A_B=1\nhello\nAbc12345==\nhello\nC_D=2", ".env:2: A_B: the line is no NAME=value"},
		{"UTF-16", "\xff\xfeA\x00=\x001\x00", ".env:1: the file is not UTF-8 text; save it as UTF-8"},
		{"zero bytes", "A_B=\x00", ".env:1: the file is not UTF-8 text"},
		{"too large", "C_D=2" + strings.Repeat("\n", maxEnvFile), ".env:1: the file has more than 1 MiB"},
		{"value too long", "A_B=" + strings.Repeat("-", maxEnvValue+1) + "\nC_D=2", ".env:1: A_B: the value has more than 64 KiB"},
		{"quoted value too long", "A_B='" + strings.Repeat("-\n", maxEnvValue) + "'\nC_D=2", ".env:1: A_B: the value begins with a quote"},
	} {
		t.Run("A100 "+row.name, func(t *testing.T) {
			t.Parallel()
			vars, problems := parseEnv([]byte(row.file), ".env")
			if len(problems) != 1 || !strings.HasPrefix(problems.Error(), row.want) {
				t.Fatalf("%d problems:\n%v\nwant one that begins with\n%s", len(problems), problems, row.want)
			}
			for _, line := range lines[1 : len(lines)-1] {
				if strings.Contains(problems.Error(), line[:8]) {
					t.Error("the problem shows the key")
				}
			}
			if strings.Contains(row.file, "C_D=2") && problems[0].Code != "too_large" && vars["C_D"].text != "2" {
				t.Error("the line after the broken one was not read")
			}
		})
	}
	t.Run("too many variables", func(t *testing.T) {
		t.Parallel()
		var b strings.Builder
		for i := range maxEnvVariables + 2 {
			fmt.Fprintf(&b, "A%d=\n", i)
		}
		if _, problems := parseEnv([]byte(b.String()), ".env"); len(problems) != 1 || problems[0].Code != "too_many" {
			t.Error(problems)
		}
	})
}

func TestBareP12(t *testing.T) {
	t.Parallel()
	der := append([]byte{0x30, 0x82, 0x01, 0x00, 0x02, 0x01, 0x03}, make([]byte, 253)...)
	text := base64.StdEncoding.EncodeToString(der)
	vars, problems := parseEnv([]byte("P12="+wrapped(text, 76)+"\nAFTER=1"), ".env")
	if len(problems) > 0 || vars["P12"].text != text || vars["AFTER"].text != "1" {
		t.Errorf("%q, %v", vars["P12"].text, problems)
	}
}

// FuzzEnvFile: no file makes the parser panic or repeat what stands in it, and a value that is quoted comes back whole.
func FuzzEnvFile(f *testing.F) {
	private := privatePEM()
	for _, seed := range []string{
		"A=1\n", "KEY=" + private + "\nB=2", "KEY=" + body(private), `KEY="` + private, "A='x", "\ufeffexport A = b # c\r\n",
		"x\ny\n", "A=1\nA=2", "-----BEGIN X-----", "A=-----BEGIN X-----\nAAAA\n-----END X-----",
	} {
		f.Add(seed, 3)
	}
	const canary = "canary7canary"
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", `\r`)
	f.Fuzz(func(t *testing.T, text string, at int) {
		if len(text) > maxEnvValue/4 {
			return
		}
		cut := 0
		if len(text) > 0 {
			cut = ((at % len(text)) + len(text)) % len(text)
		}
		_, problems := parseEnv([]byte(text[:cut]+canary+text[cut:]), ".env")
		if strings.Contains(problems.Error(), canary) {
			t.Errorf("the problems repeat the file: %v", problems)
		}
		for _, p := range problems {
			if p.Setting != "" && !shownName.MatchString(p.Setting) || p.Line < 1 || p.Cure == "" {
				t.Errorf("problem %+v", p)
			}
		}
		if strings.ContainsAny(text, "\x00") {
			return
		}
		vars, problems := parseEnv([]byte("FIRST=1\nVALUE=\""+quote.Replace(text)+"\"\nLAST=2\n"), ".env")
		if len(problems) > 0 || vars["VALUE"].text != text || vars["FIRST"].text != "1" || vars["LAST"].text != "2" {
			t.Errorf("%q came back as %q; %v", text, vars["VALUE"].text, problems)
		}
	})
}

// TestGuideFile reads the blocks of the guide as they are printed.
func TestGuideFile(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("testdata/guide.env")
	if err != nil {
		t.Fatal(err)
	}
	vars, problems := parseEnv(guide, ".env")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for name, want := range map[string]string{
		"WECHAT_APP_ID": "wx1234567890abcdef", "WECHAT_MCH_ID": "1234567890", "WECHAT_MCH_KEY": "your32digitmerchantkey",
		"WECHAT_NOTIFY_URL": "https://yourdomain.com/payment/wechat/notify",
		"WECHAT_RETURN_URL": "https://yourdomain.com/payment/success", "WECHAT_SANDBOX": "false",
		"ALIPAY_APP_ID": "2021000000000000", "ALIPAY_NOTIFY_URL": "https://yourdomain.com/payment/alipay/notify",
		"ALIPAY_RETURN_URL": "https://yourdomain.com/payment/success", "ALIPAY_SANDBOX": "false",
		"ALIPAY_PRIVATE_KEY": "-----BEGIN PRIVATE KEY-----\nMIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQC...\n-----END PRIVATE KEY-----",
		"ALIPAY_PUBLIC_KEY":  "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA...\n-----END PUBLIC KEY-----",
	} {
		if vars[name].text != want {
			t.Errorf("%s is %q", name, vars[name].text)
		}
	}
}
