package doctor

import (
	"slices"
	"strings"

	"piaohao/internal/channel"
)

// meaning is what an answer says about settings. The words are the platforms' own codes, of every protocol; they are
// looked for in the answer as it came, signed or not: this is advice, and decides nothing.
type meaning struct {
	words   []string       // any of them in what was said
	codes   []string       // any of them as the channel's own code
	kinds   []channel.Kind // any of them as the error's kind
	level   channel.Level
	code    string
	setting string // kind or ending of the variable to blame; see variable
	quote   bool   // repeat what was said
	text    string
	cure    string
}

func (m *meaning) fits(e *channel.Error, said string) bool {
	return slices.Contains(m.codes, e.Code) || slices.Contains(m.kinds, e.Kind) ||
		slices.ContainsFunc(m.words, func(w string) bool { return strings.Contains(said, w) })
}

// meanings are tried in this order; the first that fits is the one finding. Sources: 错误码和错误提示, 签名相关常见问题 and
// the v2 error tables; opendocs, errors.
var meanings = []meaning{
	{
		kinds: []channel.Kind{channel.Limited}, level: channel.LevelWarn, code: "limited",
		text: "the platform answers that it was asked too often", cure: "try again in some minutes",
	},
	{
		words: []string{"证书序列号有误", "serial_no not match"},
		level: channel.LevelError, code: "serial_refused", setting: "_SERIAL_NO",
		text: "the platform does not know this certificate serial number for the merchant",
		cure: "copy the serial of the certificate that belongs to the private key: merchant console, 账户中心 → API安全; " +
			"or openssl x509 -in apiclient_cert.pem -noout -serial",
	},
	{
		words: []string{"商户号不存在", "MCH_NOT_EXISTS", "MCHID_NOT_EXIST"},
		level: channel.LevelError, code: "merchant_unknown", setting: "_MCH_ID",
		text: "the platform does not know this merchant number, or it has no API certificate",
		cure: "compare it with the merchant console, and apply for the API certificate there (账户中心 → API安全)",
	},
	{
		words: []string{"APPID_MCHID_NOT_MATCH", "APPID_NOT_EXIST", "APPIDMCHIDNOTMATCH", "appid和mch_id不匹配"},
		level: channel.LevelError, code: "app_not_bound", setting: "_APP_ID",
		text: "this app id is not bound to this merchant number",
		cure: "bind the two in the merchant console (产品中心 → AppID账号管理), and confirm it in the app's console",
	},
	{
		words: []string{"invalid-app-id"},
		level: channel.LevelError, code: "app_unknown", setting: "_APP_ID",
		text: "the platform does not know this app id at this address",
		cure: "copy the APPID from the console; a sandbox APPID works with *_SANDBOX=true only, a real one without",
	},
	{
		words: []string{
			"missing-app-cert-sn", "missing-alipay-root-cert-sn", "app-cert-not-exist", "alipay-cert-not-exist",
			"app-cert-expired", "invalid-alipay-root-cert-sn",
		},
		level: channel.LevelError, code: "needs_certificates", quote: true,
		text: "the app at the platform signs by certificates, and these settings do not fit it",
		cure: "set the three certificates that the console offers for download, or switch the app to public keys there (公钥模式)",
	},
	{
		words: []string{"missing-signature-config"},
		level: channel.LevelError, code: "no_key_uploaded", setting: signing,
		text: "the platform has no public key of the app to verify us with",
		cure: "upload the public key that belongs to this private key in the console (接口加签方式)",
	},
	{
		words: []string{"SIGN_ERROR", "SIGNERROR", "签名错误", "invalid-signature"},
		level: channel.LevelError, code: "key_refused", setting: signing,
		text: "the platform refuses our signature: this key is not the one that it knows for the account",
		cure: "put the key there that belongs to what the console shows: the private key of the certificate with this serial, " +
			"the private half of the uploaded 应用公钥, or the merchant key as it was set last",
	},
	{
		words: []string{
			"NO_AUTH", "NOAUTH", "ACCESS_FORBIDDEN", "insufficient-isv-permissions", "insufficient-user-permissions",
			"not-online-app", "invalid-app-state", "self-invoke-forbidden",
		},
		level: channel.LevelError, code: "no_permission", quote: true,
		text: "the platform does not allow this account to use the product",
		cure: "sign the product's contract in the console, and put the app online there",
	},
	{
		words: []string{"SYSTEM_ERROR", "SYSTEMERROR", "unknow-error", "unknown-error"},
		level: channel.LevelWarn, code: "platform_trouble", quote: true,
		text: "the platform had trouble of its own, so nothing is proven", cure: "try again in some minutes",
	},
	{
		codes: []string{"no_certificate"},
		level: channel.LevelError, code: "needs_public_key",
		text: "this merchant number has no platform certificates: newer ones are given a public key in their place",
		cure: "copy id and public key from the merchant console, 账户中心 → API安全 → 微信支付公钥, into WECHAT_PUBLIC_KEY_ID and WECHAT_PUBLIC_KEY",
	},
	{
		codes: []string{"api_v3_key"},
		level: channel.LevelError, code: "api_v3_key_wrong", setting: "_API_V3_KEY",
		text: "what the platform sealed with the APIv3 key does not open with this one",
		cure: "put the APIv3 key there that was set last: merchant console, 账户中心 → API安全 → APIv3密钥 (it cannot be shown, only set anew)",
	},
	{
		codes: []string{"serial"},
		level: channel.LevelError, code: "answer_other_key", setting: "_PUBLIC_KEY_ID",
		text: "the platform signs its answers with another key than the one configured",
		cure: "copy id and public key together from the merchant console: 账户中心 → API安全 → 微信支付公钥",
	},
	{
		codes: []string{"signature", "sign", "signature_type", "unsigned", "header_missing", "header_malformed", "cert_sn"},
		level: channel.LevelError, code: "answer_unverified", setting: "public",
		text: "the platform's answer does not verify: the key set here is not the platform's",
		cure: "copy the platform's own public key from its console (微信支付公钥, 支付宝公钥): not the one you made and uploaded",
	},
}
