package alipay

// publishedKeys are SHA-256 sums of the SubjectPublicKeyInfo of key pairs whose private half anyone can read: in the
// tests and examples of the platform's own SDK and of widespread ones (spec/alipay, PublishedKeys).
var publishedKeys = map[string]bool{
	"7044e74a9d13abff73c0ad29e3b40ad827cc438604c8ff5df65dca65850371ac": true, // alipay/alipay-sdk-nodejs-all, test/fixtures/app-private-key-pkcs8-cert.pem
	"4942f0ba42a7a609f972b45a68c7232b0f512104310dbe0f2d5fa11a02d808b4": true, // go-pay/gopay, alipay/cert/cert.go
	"a6e292e17cd012bdeef32ae7cc046467451341c02d1ac40d5ab4e12160143b8b": true, // go-pay/gopay, examples/alipay/alipay_TradeQuery.go
	"6101661f66949fc55ee5c0b0b1ddb232805a082bf105a7437c2b8b14b8207757": true, // smartwalle/alipay, alipay_test.go
	"eaa752a9a7860a5f97f5b22190337bc914099c56f7f5374175c184a138fa2556": true, // alipay/alipay-sdk-nodejs-all, test/fixtures/app-private-key.pem
	"c577ffdcacf5756fa1f68699997d2ed27834e1147f34f0580557e5f2ae5f3cd4": true, // alipay/alipay-sdk-nodejs-all, test/fixtures/app_2014060600164699_rsa2_private_key_no_wrapper.pem
	"d72239530d2cb617f83bbafc1485313aedf8a35a137aecca7112597c00b8e1d2": true, // fzlee/alipay, tests/certs/dc/app_private_key
}
