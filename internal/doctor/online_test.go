package doctor_test

import (
	"testing"
	"time"

	"piaohao/internal/secret"
)

func TestOnlineAtThePlatforms(t *testing.T) {
	t.Parallel()
	run(t, true, []broken{
		{"the private key is another's (WeChat Pay)", func(w *world) {
			w.wechat.PrivateKey = secret.New(privatePEM("stranger"))
		}, bad, "key_refused", "WECHAT_MCH_PRIVATE_KEY", "private key"},
		{"the private key is another's (Alipay)", func(w *world) {
			w.alipay.PrivateKey = secret.New(privatePEM("stranger"))
		}, bad, "key_refused", "ALIPAY_PRIVATE_KEY", "应用公钥"},
		{"the serial is another certificate's", func(w *world) {
			w.wechat.SerialNo = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1"
		}, bad, "serial_refused", "WECHAT_MCH_SERIAL_NO", "openssl x509"},
		{"the platform's public key is another's (WeChat Pay)", func(w *world) {
			w.wechat.PublicKey = publicPEM("stranger")
		}, bad, "answer_unverified", "WECHAT_PUBLIC_KEY", "微信支付公钥"},
		{"the platform's public key is another's (Alipay)", func(w *world) {
			w.alipay.PublicKey = publicPEM("stranger")
		}, bad, "answer_unverified", "ALIPAY_PUBLIC_KEY", "支付宝公钥"},
		{"the merchant number is another's", func(w *world) {
			w.wechat.MerchantID, w.account(wechatAccount).MerchantID = "1234567890", "1234567890"
		}, bad, "merchant_unknown", "WECHAT_MCH_ID", "merchant console"},
		{"the app id is another's", func(w *world) {
			w.alipay.AppID, w.account(alipayAccount).AppID = "2021000000009999", "2021000000009999"
		}, bad, "app_unknown", "ALIPAY_APP_ID", "APPID"},
		{"A39 a clock some seconds off", func(w *world) { w.now = now.Add(7 * time.Second) }, doubt, "clock", "", "NTP"},
		{"A39 a clock minutes ahead", func(w *world) { w.now = now.Add(2 * time.Minute) }, bad, "clock", "", "NTP"},
		{"A39 a clock minutes behind", func(w *world) { w.now = now.Add(-2 * time.Minute) }, bad, "clock", "", "NTP"},
		{"A39 a clock so far off that signatures are refused", func(w *world) { w.now = now.Add(-11 * time.Minute) }, bad, "clock", "", "NTP"},
	})
}
