package alipaysim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the platform's older sign_type RSA
	"crypto/sha256"
	"encoding/base64"
	"fmt"
)

// signType is how a message is signed: RSA2 is SHA256withRSA, RSA the legacy
// SHA1withRSA. Both are PKCS#1 v1.5 and deterministic.
type signType string

const (
	rsa2 signType = "RSA2"
	rsa1 signType = "RSA"
)

func (t signType) digest(text string) (crypto.Hash, []byte) {
	if t == rsa1 {
		sum := sha1.Sum([]byte(text)) //nolint:gosec // as above
		return crypto.SHA1, sum[:]
	}
	sum := sha256.Sum256([]byte(text))
	return crypto.SHA256, sum[:]
}

// sign is the standard base64 of the signature over the text's bytes.
func sign(key *rsa.PrivateKey, t signType, text string) (string, error) {
	hash, sum := t.digest(text)
	raw, err := rsa.SignPKCS1v15(nil, key, hash, sum)
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return base64.StdEncoding.EncodeToString(raw), nil
}

// verify reports whether the signature holds. Only the one canonical base64
// form counts: a second spelling of a signature is a client's mistake.
func verify(key *rsa.PublicKey, t signType, text, signature string) bool {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil || base64.StdEncoding.EncodeToString(raw) != signature {
		return false
	}
	hash, sum := t.digest(text)
	return rsa.VerifyPKCS1v15(key, hash, sum, raw) == nil
}
