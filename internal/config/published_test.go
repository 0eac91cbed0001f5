package config_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"piaohao/internal/config"
	"piaohao/internal/keys"
	alipayspec "piaohao/spec/alipay"
	wechatspec "piaohao/spec/wechat"
)

// TestPublishedKeys: every key in spec is in the list of published ones, and is refused with real money.
func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("published.go")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"WeChat Pay's test merchant": wechatspec.KeyA, "WeChat Pay's test platform": wechatspec.KeyB,
		"Alipay notice": alipayspec.TradeNotice.Key, "Alipay reply": alipayspec.ReplyNode.Key, "Alipay Chinese": alipayspec.Chinese.Key,
	} {
		t.Run("A102 "+name, func(t *testing.T) {
			t.Parallel()
			found, err := keys.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			spki, err := x509.MarshalPKIXPublicKey(found.Public)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(spki)
			if !strings.Contains(string(list), hex.EncodeToString(sum[:])) {
				t.Errorf("the list lacks %x", sum)
			}
			file := settings("ALIPAY_APP_ID=2021004157389206\nALIPAY_PRIVATE_KEY="+privateText(), "ALIPAY_PUBLIC_KEY=\""+text+"\"", "url")
			_, err = config.Load(config.Source{File: []byte(file), FileName: ".env"}, drivers)
			if err == nil || !strings.Contains(err.Error(), "ALIPAY_PUBLIC_KEY: is a key that documents or libraries publish") {
				t.Errorf("not refused: %v", err)
			}
		})
	}
}
