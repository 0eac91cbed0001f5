package wechatv2

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"piaohao/internal/channel"
)

const mchKeySize = 32 // characters (商户平台, API安全, 设置API密钥)

// Forms of the settings; lengths are from the documentation's parameter tables (appid, mch_id: String(32)).
var (
	appIDForm  = regexp.MustCompile(`^[0-9A-Za-z_]{1,32}$`)
	usualAppID = regexp.MustCompile(`^w[xw][0-9A-Za-z]{16}$`) // of accounts and apps; of enterprises
	mchIDForm  = regexp.MustCompile(`^[0-9]{8,10}$`)
	mchKeyForm = regexp.MustCompile(`^[0-9A-Za-z]{32}$`)
)

// placeholders are the values that our users' guide prints. What begins with "your" or holds xxxxxx is one too; no random
// key does.
var placeholders = []string{"wx1234567890abcdef", "1234567890", "your32digitmerchantkey"}

// published are values that everybody knows: of the documentation, and of the SDKs' examples and tests
// (spec/wechat; WxPay.Config.php of the platform's own PHP SDK).
var published = []string{
	"192006250b4c09247ec02edce69f6a2d", "8934e7d15453e97507ef794cf7b0519d", "ziR0QKsTUfMOuochC9RfCdmfHECorQAP",
	"a7cde1ZJB1kG2e7VfTs3jQzaWizur8Gb", "wx426b3015555a46be", "1900009851", "1900000109",
}

// Inspect says what was found, every fault at once.
func (c *Config) Inspect(now time.Time) []channel.Finding {
	found := slices.Concat(inspectAppID(c.AppID), inspectMchID(c.MerchantID), inspectKey(c.MchKey.Reveal()))
	switch c.signType() {
	case signMD5, signHMAC:
	default:
		found = append(found, fault("sign_type", "WECHAT_SIGN_TYPE", "is neither MD5 nor HMAC-SHA256", "write HMAC-SHA256, or leave it out for MD5"))
	}
	if channel.Faulty(found) == nil {
		found = append(found, channel.Finding{
			Level: channel.LevelOK, Code: "api_v2", Setting: "WECHAT_MCH_KEY", Text: "APIv2 key of 32 characters; messages are signed with " + c.signType(),
		})
	}
	_, refunds := c.certificate(now)
	if channel.Faulty(found) != nil { // what a certificate lacks may follow from it
		refunds = slices.DeleteFunc(refunds, func(f channel.Finding) bool { return f.Level != channel.LevelError })
	}
	return append(found, refunds...)
}

func (c *Config) signType() string { return cmp.Or(c.SignType, signMD5) }

func fault(code, setting, text, cure string) channel.Finding {
	return channel.Finding{Level: channel.LevelError, Code: code, Setting: setting, Text: text, Cure: cure}
}

func inspectAppID(id string) []channel.Finding {
	const setting, cure = "WECHAT_APP_ID", "copy the AppID from the merchant platform, 产品中心 → AppID账号管理"
	switch f := general(setting, id, cure); {
	case f != nil:
		return f
	case mchIDForm.MatchString(id):
		return []channel.Finding{fault("swapped", setting, "is a merchant number", "the merchant number belongs in WECHAT_MCH_ID; "+cure)}
	case !appIDForm.MatchString(id):
		return []channel.Finding{fault("form", setting, "is not 1 to 32 letters, digits or _", cure)}
	case !usualAppID.MatchString(id):
		return []channel.Finding{{
			Level: channel.LevelWarn, Code: "unusual", Setting: setting, Text: "does not look like an AppID, which is wx and 16 characters", Cure: cure,
		}}
	}
	return nil
}

func inspectMchID(id string) []channel.Finding {
	const setting, cure = "WECHAT_MCH_ID", "copy the number from the merchant platform, 账户中心 → 商户信息"
	switch f := general(setting, id, cure); {
	case f != nil:
		return f
	case usualAppID.MatchString(id):
		return []channel.Finding{fault("swapped", setting, "is an AppID", "the AppID belongs in WECHAT_APP_ID; "+cure)}
	case !mchIDForm.MatchString(id):
		return []channel.Finding{fault("form", setting, "is not 8 to 10 digits", cure)}
	}
	return nil
}

func inspectKey(key string) []channel.Finding {
	const setting, cure = "WECHAT_MCH_KEY", "set an API key (APIv2密钥) of 32 random letters and digits in the merchant platform, 账户中心 → API安全, and copy it"
	switch f := general(setting, key, cure); {
	case f != nil:
		return f
	case usualAppID.MatchString(key):
		return []channel.Finding{fault("swapped", setting, "is an AppID", cure)}
	case mchIDForm.MatchString(key):
		return []channel.Finding{fault("swapped", setting, "is a merchant number", cure)}
	case strings.Contains(key, "-----BEGIN"):
		return []channel.Finding{fault("swapped", setting, "is a PEM text, which is of APIv3", cure)}
	case len(key) != mchKeySize:
		return []channel.Finding{fault("length", setting, "is not 32 characters long", cure)}
	case repeats(key):
		return []channel.Finding{fault("weak_key", setting, "repeats itself, so that it can be guessed", cure)}
	case !mchKeyForm.MatchString(key):
		return []channel.Finding{{Level: channel.LevelWarn, Code: "unusual", Setting: setting, Text: "holds other characters than letters and digits", Cure: cure}}
	}
	return nil
}

// general are the faults that every setting can have.
func general(setting, value, cure string) []channel.Finding {
	switch {
	case value == "":
		return []channel.Finding{fault("missing", setting, "is not set", cure)}
	case slices.Contains(placeholders, value), strings.HasPrefix(strings.ToLower(value), "your"), strings.Contains(strings.ToLower(value), "xxxxxx"):
		return []channel.Finding{fault("placeholder", setting, "still holds the example's text", cure)}
	case slices.Contains(published, value):
		return []channel.Finding{fault("published_key", setting, "is an example that the documentation or an SDK prints, so that everybody knows it", cure)}
	case strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		if !strings.Contains(value, "-----BEGIN") {
			return []channel.Finding{fault("space", setting, "holds a space, a line break or an invisible character", cure)}
		}
	}
	return nil
}

// repeats reports whether key is a shorter text over and over: one character, 12345678 four times.
func repeats(key string) bool {
	for n := 1; n <= len(key)/2; n++ {
		if key[n:] == key[:len(key)-n] {
			return true
		}
	}
	return false
}
