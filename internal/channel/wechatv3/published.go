package wechatv3

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
)

// published are SHA-256 hashes of what anybody can read in documentation and SDKs: RSA keys as SubjectPublicKeyInfo,
// everything else as it is written (A05, A102).
var published = map[string]bool{
	"0076df9361cc1f5744359234d7df9fd43442cf369fb98826562f1d10a347ec5c": true, // key of the documentation's merchant 1900007291 (签名生成)
	"8a5b82f18120806bb2c6b46e1a2f8687ceaa20a45bc2b649e37e6d9878336dc5": true, // key of wechatpay-go's tests, both as merchant and as platform
	"e4fb974a142232e36cee857a0f008a56b15809966cb56651051cdd2493fbd9ac": true, // APIv3 key of wechatpay-java's AeadAesCipherTest
	"3eb1bd439947eb762998e566ccc2e099c791118b2f40579cc4f7da2b5061b7f9": true, // APIv3 key of wechatpay-axios-plugin's tests/lib/aes.test.js
	"4ad1bc7cf3cf09f9293fc2d83eb1b5bf6bd2b4c56191ad89b336a0b2d772fbf7": true, // key of the APIv2 signature page
	"f509918f5d1b58ba4407c8fc54a28367642a92c75b4f7744d9b098b66aaba110": true, // key of gopay's wechat/notify_test.go
	"67bdfbb7663a2d1986eef88c6aa04799e305364105d88f6d7f9701813a7f1dad": true, // serial number of the documentation's merchant
	"4d7a7f47d8bacb68288e6493bf4a0fe2b525091685b63ca319836cf352b4f6bf": true, // public key id of 使用微信支付公钥验签
	"9b4ba89696a15587d7c893487f6b6087f69480cbd5c27ebec134043269c59959": true, // public key id of 微信支付公钥
}

func publishedKey(key *rsa.PublicKey) bool {
	der, err := x509.MarshalPKIXPublicKey(key)
	return err == nil && publishedText(string(der))
}

func publishedText(text string) bool {
	sum := sha256.Sum256([]byte(text))
	return published[hex.EncodeToString(sum[:])]
}
