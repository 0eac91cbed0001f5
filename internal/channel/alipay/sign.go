package alipay

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"piaohao/internal/strict"
)

var signBase64 = base64.StdEncoding.Strict()

// sortFields orders by name, byte by byte (opendocs, signing).
func sortFields(fields strict.Form) {
	slices.SortFunc(fields, func(a, b strict.Pair) int { return strings.Compare(a.Name, b.Name) })
}

// canonical is the text that a signature covers: the sorted fields as name=value joined by '&', values unescaped,
// without the empty ones and without those that skip names (opendocs, signing; for notices: verifying asynchronous notices).
func canonical(sorted strict.Form, skip func(name string) bool) []byte {
	size := 0
	for i := range sorted {
		size += len(sorted[i].Name) + len(sorted[i].Value) + len("=&")
	}
	text := make([]byte, 0, size)
	for i := range sorted {
		if sorted[i].Value == "" || skip(sorted[i].Name) {
			continue
		}
		if len(text) > 0 {
			text = append(text, '&')
		}
		text = append(text, sorted[i].Name...)
		text = append(text, '=')
		text = append(text, sorted[i].Value...)
	}
	return text
}

// inRequest and inMessage name what a signature leaves out: requests sign sign_type too, notices and returns do not.
func inRequest(name string) bool { return name == "sign" }
func inMessage(name string) bool { return name == "sign" || name == "sign_type" }

func inMessageWithoutCert(name string) bool { return inMessage(name) || name == "alipay_cert_sn" }

// sign returns the base64 RSA2 signature of text.
func sign(key *rsa.PrivateKey, text []byte) (string, error) {
	digest := sha256.Sum256(text)
	raw, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return signBase64.EncodeToString(raw), nil
}

// verify reports whether signature is the base64 RSA2 signature of text: of exactly the key's length, which also
// shuts out the line ends that the decoder would skip.
func verify(key *rsa.PublicKey, text []byte, signature string) bool {
	if len(signature) != signBase64.EncodedLen(key.Size()) {
		return false
	}
	raw, err := signBase64.DecodeString(signature)
	if err != nil {
		return false
	}
	digest := sha256.Sum256(text)
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], raw) == nil
}
