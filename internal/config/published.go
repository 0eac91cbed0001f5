package config

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"regexp"
	"strings"

	"piaohao/internal/keys"
)

// Samples are values that documents print where the merchant's own belong, in lower case (the deployment guide; APIv3
// 接口规则 and the APIv2 signature page; opendocs).
var samples = map[string]bool{
	"wx1234567890abcdef": true, "1234567890": true, "your32digitmerchantkey": true, "2021000000000000": true,
	"wxd678efh567hg6787": true, "1900007291": true, // APIv3 documents
	"wxd930ea5d5a258f4f": true, "10000100": true, "192006250b4c09247ec02edce69f6a2d": true, // APIv2, signature
}

// reserved are the numbers of the built-in simulator. No platform issued them, so that a live account with one of them
// is a test account that went astray.
var reserved = map[string]bool{
	"wx0000000000005001": true, "1900005001": true, "2021000000005001": true, "2088000000005001": true,
}

// publishedKeys are SHA-256 hashes of the SubjectPublicKeyInfo of keys whose private half, or whose use as an example,
// is public. What they sign proves nothing.
// The platforms' own certificates are many merchants' at once and do not belong here.
var publishedKeys = map[string]bool{
	"0076df9361cc1f5744359234d7df9fd43442cf369fb98826562f1d10a347ec5c": true, // test merchant 1900007291 (WeChat Pay, 签名生成)
	"8a5b82f18120806bb2c6b46e1a2f8687ceaa20a45bc2b649e37e6d9878336dc5": true, // test platform certificate D7CE59D1F522D701 (wechatpay-go)
	"b23f1622e2ca1cf67c7315b53b8235ef798cd4abe8acf77f9288bb1ffa348b91": true, // test of alipay-sdk-nodejs
	"272a7afff7f7d6da800e6799ef860d2ac4f09632801436462053d8f530484757": true, // test of go-pay/gopay
	"383b30aee974393188adcfdea556427d0a0b763786e6cfdd74204c965fb9c7b1": true, // test of alipay-sdk-java-all
	"d72239530d2cb617f83bbafc1485313aedf8a35a137aecca7112597c00b8e1d2": true, // python-alipay-sdk, tests/certs/dc/app_public_key_cert.crt
	"93d0824fdd4da1520643612f6983f9330e4a035e81f52d85f90330b1b420cb1d": true, // go-pay/gopay, alipay/cert/appPublicCert.crt
	"615c7e0acd31779d125e300a3b613fc21adce7e7cd01049265d8d9c8cd7bf05f": true, // smartwalle/alipay, examples/appPublicCert.crt
}

// sampleText is what people write in place of a value: "your…", "xxxx", "...", "<key>", 你的….
var sampleText = regexp.MustCompile(`(?i)^<.*>$|^\$?\{.*\}$|\.\.\.|…|^your|your[_-]?(app|mch|merchant|key|id|api|domain|private|public|secret)|^x+$|x{6}|change[_-]?me|placeholder|replace[_-]?me|你的|您的|填写|替换|这里`)

// sampleHost is what samples of URLs have for a host.
var sampleHost = regexp.MustCompile(`(?i)(^|\.)your-?(domain|site|shop|host|server)\.|^abcd1234\.ngrok`)

// fileName is what people write who have the key in a file.
var fileName = regexp.MustCompile(`(?i)^\S{1,200}\.(pem|key|crt|cer|der|p12|pfx|txt)$`)

// fewest distinct characters of a secret; a random text of 32 hexadecimal digits has fewer once in 10⁸.
const secretVariety = 7

var (
	isSample    = fault{"placeholder", "is still the sample of a document", "put your own value there"}
	isReserved  = fault{"simulator", "is a number of the built-in simulator", "the simulator needs no settings: delete this one, or put the number there that the platform gave you"}
	isPublished = fault{"published_key", "is a key that documents or libraries publish: everybody can sign with it", "make a key of your own and register it with the platform"}
	isPath      = fault{"path", "is the name of a file, not its content", "give the variable the ending _FILE to name a file"}
	isWeak      = fault{"placeholder", "has hardly any different characters", "set a random one at the platform and put it there"}
)

// judgeValue says what is wrong with a value by itself; nil = nothing that is seen here.
func judgeValue(f field) *fault {
	v := strings.TrimSpace(f.value)
	found, err := keys.Parse(v)
	switch {
	case v == "":
		return nil
	case samples[strings.ToLower(v)]:
		return &isSample
	case reserved[v]:
		return &isReserved
	case err == nil && publishedKey(found):
		return &isPublished
	case err == nil:
		return nil
	case sampleText.MatchString(v):
		return &isSample
	case f.key != "" && fileName.MatchString(v):
		return &isPath
	case f.secret && f.key == "" && variety(v) < secretVariety:
		return &isWeak
	}
	return nil
}

func publishedKey(found keys.Found) bool {
	spki, err := x509.MarshalPKIXPublicKey(found.Public)
	sum := sha256.Sum256(spki)
	return err == nil && publishedKeys[hex.EncodeToString(sum[:])]
}

func variety(v string) int {
	distinct := map[rune]bool{}
	for _, r := range v {
		distinct[r] = true
	}
	return len(distinct)
}
