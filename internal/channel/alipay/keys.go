package alipay

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
)

// minKeyBits is what RSA2 asks for (opendocs, signing).
const minKeyBits = 2048

// Why a key text is refused. Each names the setting and repeats nothing of its content.
var (
	errPrivateKey = errors.New("ALIPAY_PRIVATE_KEY cannot be read as an RSA private key: " +
		"put the app's private key (应用私钥) there, PEM or its bare base64, PKCS#8 or PKCS#1, without a passphrase")
	errPublicKey = errors.New("ALIPAY_PUBLIC_KEY cannot be read as an RSA public key: " +
		"put Alipay's public key (支付宝公钥) there, PEM or its bare base64; a certificate (.crt) is not supported")
	errShortPrivate = errors.New("ALIPAY_PRIVATE_KEY is shorter than 2048 bits: RSA2 needs 2048 or more")
	errShortPublic  = errors.New("ALIPAY_PUBLIC_KEY is shorter than 2048 bits: RSA2 needs 2048 or more")
	errSwapped      = errors.New("ALIPAY_PUBLIC_KEY holds a private key: put Alipay's public key (支付宝公钥) there, " +
		"and treat that private key as leaked if this setting was ever shown")
)

// parsePrivate tries both encodings whatever a PEM label says: the console's "Java" keys are PKCS#8, the others
// PKCS#1, and people swap the labels.
func parsePrivate(text string) (*rsa.PrivateKey, error) {
	der, ok := keyDER(text)
	if !ok {
		return nil, errPrivateKey
	}
	key, ok := privateFrom(der)
	switch {
	case !ok:
		return nil, errPrivateKey
	case key.N.BitLen() < minKeyBits:
		return nil, errShortPrivate
	}
	return key, nil
}

func privateFrom(der []byte) (*rsa.PrivateKey, bool) {
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, true
	}
	any8, _ := x509.ParsePKCS8PrivateKey(der)
	key, ok := any8.(*rsa.PrivateKey)
	return key, ok
}

func parsePublic(text string) (*rsa.PublicKey, error) {
	der, ok := keyDER(text)
	if !ok {
		return nil, errPublicKey
	}
	if _, ok := privateFrom(der); ok {
		return nil, errSwapped
	}
	key, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		spki, _ := x509.ParsePKIXPublicKey(der)
		key, ok = spki.(*rsa.PublicKey)
	}
	switch {
	case !ok:
		return nil, errPublicKey
	case key.N.BitLen() < minKeyBits:
		return nil, errShortPublic
	}
	return key, nil
}

// keyDER returns the bytes of a PEM block or of bare base64. pem.Decode is not used: it wants line ends, which
// environment variables lose or spell "\n".
func keyDER(text string) ([]byte, bool) {
	text = strings.ReplaceAll(text, `\n`, "\n")
	if _, rest, found := strings.Cut(text, "-----BEGIN "); found {
		_, rest, _ = strings.Cut(rest, "-----")
		text, _, _ = strings.Cut(rest, "-----END ")
	}
	text = strings.Trim(strings.Join(strings.Fields(text), ""), `"'`)
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	return der, err == nil && len(der) > 0
}
