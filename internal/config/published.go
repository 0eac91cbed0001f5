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
var publishedKeys = map[string]bool{}

// sampleText is what people write in place of a value: "your…", "xxxx", "...", "<key>", 你的….
var sampleText = regexp.MustCompile(`(?i)^<.*>$|^\$?\{.*\}$|\.\.\.|…|^your|your[_-]?(app|mch|merchant|key|id|api|domain|private|public|secret)|^x+$|x{6}|change[_-]?me|placeholder|replace[_-]?me|你的|您的|填写|替换|这里`)

// sampleHost is what samples of URLs have for a host.
var sampleHost = regexp.MustCompile(`(?i)(^|\.)your-?(domain|site|shop|host|server)\.|^abcd1234\.ngrok`)

// fewest distinct characters of a secret; a random text of 32 hexadecimal digits has fewer once in 10⁸.
const secretVariety = 7

var (
	isSample    = fault{"placeholder", "is still the sample of a document", "put your own value there"}
	isReserved  = fault{"simulator", "is a number of the built-in simulator", "the simulator needs no settings: delete this one, or put the number there that the platform gave you"}
	isPublished = fault{"published_key", "is a key that documents or libraries publish: everybody can sign with it", "make a key of your own and register it with the platform"}
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
