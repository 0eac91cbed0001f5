package wechatsim

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // APIv2's own default
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// signType is how a message of APIv2 is signed (APIv2, 签名算法).
type signType string

const (
	signMD5  signType = "MD5" // also what a message without sign_type means
	signHMAC signType = "HMAC-SHA256"
)

// parseSignType reads a message's own word for it.
func parseSignType(word string) (signType, bool) {
	switch t := signType(word); t {
	case "":
		return signMD5, true
	case signMD5, signHMAC:
		return t, true
	}
	return "", false
}

// canonical is the text that is signed, without the key: all fields that are not empty, sorted by name, save sign.
func (f fields) canonical() string {
	pairs := make([]string, 0, len(f))
	names := make([]string, 0, len(f))
	for name, value := range f {
		if name != "sign" && value != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		pairs = append(pairs, name+"="+f[name])
	}
	return strings.Join(pairs, "&")
}

// sign is the upper-case hex text of the signature.
func (f fields) sign(t signType, key string) string {
	text := []byte(f.canonical() + "&key=" + key)
	if t == signHMAC {
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write(text)
		return fmt.Sprintf("%X", mac.Sum(nil))
	}
	sum := md5.Sum(text) //nolint:gosec // as above
	return strings.ToUpper(hex.EncodeToString(sum[:]))
}

func (f fields) signedBy(t signType, key string) bool {
	return hmac.Equal([]byte(f["sign"]), []byte(f.sign(t, key)))
}
