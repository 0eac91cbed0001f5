package config_test

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"piaohao/internal/channel/all"
	"piaohao/internal/config"
	"piaohao/internal/secret"
)

var update = flag.Bool("update", false, "write the tables of platforms in both READMEs and .env.example from the drivers' tags")

// setting is what the documents say of one variable of a platform.
type setting struct {
	name, method string
	key          string // the kind of key text, "" = none
	byFile       bool
	text         [2]string // English, Chinese
}

// Languages of setting.text.
const (
	english = iota
	chinese
)

// platformSettings are those that the drivers' tags declare, and those that every platform has.
func platformSettings() []setting {
	var out []setting
	products := map[string][]string{}
	for _, d := range all.Drivers {
		for _, p := range d.Info.Products {
			if !slices.Contains(products[d.Info.Method], p.Name) {
				products[d.Info.Method] = append(products[d.Info.Method], p.Name)
			}
		}
	}
	seen := map[string]bool{}
	add := func(s setting) {
		if !seen[s.name] {
			seen[s.name] = true
			out = append(out, s)
		}
	}
	for i, d := range all.Drivers {
		info := d.Info
		t := reflect.TypeOf(d.Settings()).Elem()
		for j := range t.NumField() {
			f := t.Field(j)
			if name := f.Tag.Get("env"); name != "" {
				add(setting{
					name: name, method: info.Method, key: f.Tag.Get("key"),
					byFile: f.Tag.Get("key") != "" || f.Type == reflect.TypeFor[secret.Text](),
					text:   [2]string{f.Tag.Get("en"), f.Tag.Get("zh")},
				})
			}
		}
		if i+1 < len(all.Drivers) && all.Drivers[i+1].Info.Method == info.Method {
			continue
		}
		for _, s := range []struct{ suffix, en, zh string }{
			{
				"_NOTIFY_URL", "Where the platform sends its notices: https, no query, any path; else `PUBLIC_URL` and `" + info.NotifyPath + "`",
				"平台发送支付通知的地址：https、不带参数、路径任意；不写就是 `PUBLIC_URL` 加 `" + info.NotifyPath + "`",
			},
			{
				"_RETURN_URL", "Where payers end whose payment has no `return_url`; else, or with the path `/payment/success`, on our own page",
				"没有 `return_url` 的支付单，付款人最后去的地址；不写或路径为 `/payment/success` 就是我们自己的页面",
			},
			{"_SANDBOX", "`true` tests; `false` or unset, credentials are for real money", "`true` 为测试；`false` 或不写时，凭据用于真实收款"},
			{
				"_PRODUCTS", "What to offer, separated by commas, of `" + strings.Join(products[info.Method], "`, `") + "`; else all",
				"启用的产品，以逗号分隔，可选 `" + strings.Join(products[info.Method], "`、`") + "`；不写就是全部",
			},
		} {
			add(setting{name: info.Prefix + s.suffix, method: info.Method, text: [2]string{s.en, s.zh}})
		}
	}
	return out
}

// TestEverySettingIsDescribed: the documents have nothing else to go by.
func TestEverySettingIsDescribed(t *testing.T) {
	t.Parallel()
	for _, s := range platformSettings() {
		if s.text[english] == "" || s.text[chinese] == "" || strings.ContainsAny(s.text[english]+s.text[chinese], "|\n") {
			t.Errorf("%s is described by %q", s.name, s.text)
		}
		// A name that nobody reads would be refused as unknown.
		_, err := config.Load(config.Source{Env: map[string]string{s.name: "x"}}, all.Drivers)
		if err != nil && strings.Contains(err.Error(), "no such setting") {
			t.Errorf("%s is not known", s.name)
		}
	}
}

const (
	tableBegin = "<!-- settings of the platforms: written by go test ./internal/config -run Documents -update -->\n"
	tableEnd   = "<!-- end of the settings of the platforms -->\n"
)

func platformTable(language int) string {
	var b strings.Builder
	b.WriteString([]string{"| Variable | Meaning |\n|---|---|\n", "| 变量 | 含义 |\n|---|---|\n"}[language])
	for _, s := range platformSettings() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", s.name, s.text[language])
	}
	return b.String()
}

// TestDocuments holds the READMEs' tables of platforms and .env.example against the drivers' tags.
func TestDocuments(t *testing.T) {
	t.Parallel()
	for language, name := range []string{"README.md", "README.zh-CN.md"} {
		text := read(t, name)
		before, rest, begun := strings.Cut(text, tableBegin)
		_, after, ended := strings.Cut(rest, tableEnd)
		if !begun || !ended {
			t.Fatalf("%s: the marks around the table are gone", name)
		}
		hold(t, name, text, before+tableBegin+"\n"+platformTable(language)+"\n"+tableEnd+after)
	}
	hold(t, ".env.example", read(t, ".env.example"), example(t))
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../" + name)
	if err != nil && !*update {
		t.Fatal(err)
	}
	return string(text)
}

func hold(t *testing.T, name, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	if !*update {
		t.Errorf("%s is not what the drivers' tags say: go test ./internal/config -run Documents -update", name)
		return
	}
	if err := os.WriteFile("../../"+name, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sections of .env.example. Names that no driver of this build declares are left out, and a section without names too;
// what stands in none comes with the first section of its platform.
var sections = []struct {
	method string
	title  [2]string
	names  []string
}{
	{"wechat", [2]string{"1. WeChat Pay, always", "1. 微信支付：总是需要"}, []string{
		"WECHAT_APP_ID", "WECHAT_MCH_ID", "WECHAT_NOTIFY_URL", "WECHAT_RETURN_URL", "WECHAT_SANDBOX", "WECHAT_PRODUCTS",
	}},
	{"wechat", [2]string{"2. WeChat Pay APIv2: one key", "2. 微信支付 APIv2：一把密钥"}, []string{"WECHAT_MCH_KEY", "WECHAT_SIGN_TYPE"}},
	{"wechat", [2]string{
		"3. Refunds of APIv2 without APIv3: the merchant's certificate and its private key, or the .p12 that has both",
		"3. 只有 APIv2 时的退款：商户 API 证书加私钥，或者同时含有两者的 .p12",
	}, []string{"WECHAT_V2_CERT", "WECHAT_V2_PRIVATE_KEY", "WECHAT_V2_P12"}},
	{"wechat", [2]string{
		"4. WeChat Pay APIv3: and section 5 or 6. The serial number, or the certificate that has it, or the .p12 with certificate and key",
		"4. 微信支付 APIv3：再加第 5 或第 6 节。证书序列号、含序列号的证书、含证书和私钥的 .p12，三者选一",
	}, []string{"WECHAT_MCH_SERIAL_NO", "WECHAT_MCH_CERT", "WECHAT_MCH_P12", "WECHAT_MCH_PRIVATE_KEY", "WECHAT_API_V3_KEY"}},
	{"wechat", [2]string{"5. APIv3 with the WeChat Pay public key: every merchant since 2024", "5. APIv3，微信支付公钥：2024 年以后的商户"}, []string{
		"WECHAT_PUBLIC_KEY_ID", "WECHAT_PUBLIC_KEY",
	}},
	{"wechat", [2]string{"6. APIv3 with platform certificates: older merchants", "6. APIv3，平台证书：更早的商户"}, []string{"WECHAT_PLATFORM_CERT"}},
	{"alipay", [2]string{"7. Alipay, always", "7. 支付宝：总是需要"}, []string{
		"ALIPAY_APP_ID", "ALIPAY_SELLER_ID", "ALIPAY_PRIVATE_KEY", "ALIPAY_NOTIFY_URL", "ALIPAY_RETURN_URL", "ALIPAY_SANDBOX", "ALIPAY_PRODUCTS",
	}},
	{"alipay", [2]string{"8. Alipay with keys", "8. 支付宝：公钥模式"}, []string{"ALIPAY_PUBLIC_KEY"}},
	{"alipay", [2]string{"9. Alipay with certificates", "9. 支付宝：证书模式"}, []string{"ALIPAY_APP_CERT", "ALIPAY_CERT", "ALIPAY_ROOT_CERT"}},
}

const exampleHead = `# 票号 Piaohao 的配置。复制为 .env，去掉需要的行前面的 #。全部不写就是测试模式，两个平台都由模拟器代替。
# 环境变量优先于本文件。密钥可以原样写成多行（从 -----BEGIN 到 -----END，不加引号），也可以写成一行 base64，
# 或者放进文件：在变量名后加 _FILE，值为文件路径。凭据存在且 SANDBOX 不为 true 时即为真实收款。
#
# Settings of Piaohao. Copy this to .env and take away the # of the lines that you need. With none of them it is in
# test mode, and the simulator stands in for both platforms. The environment wins over this file. A key may be written
# as it is, over lines from -----BEGIN to -----END and without quotes, as base64 on one line, or in a file that the
# variable with _FILE names. Credentials whose SANDBOX is not true are for real money.
#
# 组合 Combinations:
#   微信支付 WeChat Pay APIv2                          1 + 2
#   微信支付 WeChat Pay APIv2, 可退款 with refunds       1 + 2 + 3
#   微信支付 WeChat Pay APIv3, 微信支付公钥 public key      1 + 4 + 5
#   微信支付 WeChat Pay APIv3, 平台证书 certificates       1 + 4 + 6
#   APIv2 已有订单继续处理 ends its orders beside APIv3   1 + 2 + 4 + 5
#   支付宝 Alipay, 公钥 keys                            7 + 8
#   支付宝 Alipay, 证书 certificates                     7 + 9
`

// example is .env.example: the platforms from the drivers' tags, the rest from the READMEs' tables.
func example(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(exampleHead)
	known := map[string]setting{}
	placed := map[string]bool{}
	for _, s := range platformSettings() {
		known[s.name] = s
	}
	for _, section := range sections {
		for _, name := range section.names {
			placed[name] = true
		}
	}
	first := map[string]bool{}
	for _, section := range sections {
		names := section.names
		if !first[section.method] {
			first[section.method] = true
			for _, s := range platformSettings() {
				if s.method == section.method && !placed[s.name] {
					names = append(slices.Clone(names), s.name)
				}
			}
		}
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return known[name].name == "" })
		if len(names) == 0 {
			continue
		}
		fmt.Fprintf(&b, "\n# ==== %s\n# ==== %s\n", section.title[chinese], section.title[english])
		for _, name := range names {
			s := known[name]
			describe(&b, name, s.text, "")
			if s.key != "" {
				fmt.Fprintf(&b, "#   或 or %s_FILE=\n", name)
			}
		}
	}
	b.WriteString("\n# ==== 其余配置，所示为测试模式的默认值\n# ==== The rest, with the defaults of test mode\n")
	zh := rows(read(t, "README.zh-CN.md"))
	for _, row := range settingLine.FindAllStringSubmatch(read(t, "README.md"), -1) {
		if name := row[1]; name != "ENV_FILE" { // it says where this file is
			describe(&b, name, [2]string{row[3], zh[name]}, row[2])
		}
	}
	return b.String()
}

func rows(text string) map[string]string {
	out := map[string]string{}
	for _, row := range settingLine.FindAllStringSubmatch(text, -1) {
		out[row[1]] = row[3]
	}
	return out
}

func describe(b *strings.Builder, name string, text [2]string, value string) {
	plain := strings.NewReplacer("`", "")
	fmt.Fprintf(b, "\n# %s\n# %s\n#%s=%s\n", plain.Replace(text[chinese]), plain.Replace(text[english]), name, value)
}

var exampleLine = regexp.MustCompile(`(?m)^#([A-Z][A-Z0-9_]*)=(.*)$`)

// TestExampleCombinations fills in what each combination of .env.example asks for: it starts in the mode that it says.
func TestExampleCombinations(t *testing.T) {
	t.Parallel()
	file := read(t, ".env.example")
	named := map[string]bool{}
	for _, line := range exampleLine.FindAllStringSubmatch(file, -1) {
		if named[line[1]] {
			t.Errorf("%s is there twice", line[1])
		}
		named[line[1]] = true
	}
	for _, row := range combinations {
		if slices.ContainsFunc(row.names, func(name string) bool { return !named[name] }) {
			t.Logf("%s: this build has no driver for it", row.name)
			continue
		}
		for _, sandbox := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, sandbox %v", row.name, sandbox), func(t *testing.T) {
				t.Parallel()
				values := exampleValues(t)
				filled := exampleLine.ReplaceAllStringFunc(file, func(line string) string {
					name, _, _ := strings.Cut(line[1:], "=")
					switch {
					case strings.HasSuffix(name, "_SANDBOX") && strings.HasPrefix(row.names[0], strings.TrimSuffix(name, "_SANDBOX")):
						return fmt.Sprintf("%s=%v", name, sandbox)
					case slices.Contains(row.names, name):
						return name + "=" + cmp.Or(values[name], "no value for "+name)
					}
					return line
				})
				c, err := config.Load(config.Source{File: []byte(filled), FileName: ".env"}, all.Drivers)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, a := range append(c.Accounts, c.Shelved...) {
					got = append(got, a.Driver.Info.Channel)
				}
				if c.Live == sandbox || strings.Join(got, " ") != row.want {
					t.Errorf("live is %v, accounts of %v, want %s", c.Live, got, row.want)
				}
			})
		}
	}
}
