package wechatv3

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"strings"
)

const minKeyBits = 2048 // both sides' keys are RSA-2048 (接口规则, 签名生成)

var (
	errKeyText = errors.New("must be one PEM block or its bare base64")
	errKeyKind = errors.New("must be an RSA key of 2048 bits or more")
)

// parsePrivateKey reads PKCS #8 or PKCS #1. Errors say nothing of the text: it is a secret.
func parsePrivateKey(text string) (*rsa.PrivateKey, error) {
	der, err := keyBytes(text)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		any8, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, errors.New("is not a private key in PKCS #8 or PKCS #1 form")
		}
		key, _ = any8.(*rsa.PrivateKey)
	}
	if key == nil || key.N.BitLen() < minKeyBits {
		return nil, errKeyKind
	}
	return key, nil
}

// parsePublicKey reads SubjectPublicKeyInfo or PKCS #1. A certificate is refused: it is the older mode.
func parsePublicKey(text string) (*rsa.PublicKey, error) {
	der, err := keyBytes(text)
	if err != nil {
		return nil, err
	}
	key, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		anyKey, err := x509.ParsePKIXPublicKey(der)
		if err != nil {
			return nil, errors.New("is not a public key; a certificate will not do")
		}
		key, _ = anyKey.(*rsa.PublicKey)
	}
	if key == nil || key.N.BitLen() < minKeyBits {
		return nil, errKeyKind
	}
	return key, nil
}

// keyBytes takes the DER bytes out of one PEM block, or out of base64 with any line breaks.
func keyBytes(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if strings.HasPrefix(text, "-----BEGIN ") {
		block, rest := pem.Decode([]byte(text))
		if block == nil || len(rest) > 0 {
			return nil, errKeyText
		}
		return block.Bytes, nil
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil || len(der) == 0 {
		return nil, errKeyText
	}
	return der, nil
}
