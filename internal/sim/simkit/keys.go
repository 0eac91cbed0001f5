package simkit

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
)

const (
	keyBits  = 2048
	keyKind  = "key"
	textKind = "text"
)

// Key returns the simulator's RSA-2048 key of this name. It is made when first asked for (about 0.1 s), and kept.
func (k *Kit) Key(name string) (*rsa.PrivateKey, error) {
	k.keyMu.Lock()
	defer k.keyMu.Unlock()
	if key, ok := k.keys[name]; ok {
		return key, nil
	}
	key, err := k.keptKey(name)
	if err != nil {
		return nil, fmt.Errorf("simkit: key %s: %w", name, err)
	}
	k.keys[name] = key
	return key, nil
}

func (k *Kit) keptKey(name string) (*rsa.PrivateKey, error) {
	var der []byte
	found := false
	err := k.Books.Do(func(tx *Tx) (err error) {
		found, err = tx.Get(keyKind, name, &der)
		return err
	})
	if err != nil {
		return nil, err
	}
	if found {
		parsed, err := x509.ParsePKCS8PrivateKey(der)
		if err != nil {
			return nil, err
		}
		key, ok := parsed.(*rsa.PrivateKey)
		if !ok {
			return nil, errors.New("the kept key is not an RSA key")
		}
		return key, nil
	}
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return nil, err
	}
	if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		return nil, err
	}
	return key, k.Books.Do(func(tx *Tx) error { return tx.Put(keyKind, name, der) })
}

// KeptText returns n random characters of the alphabet, made when first asked for under this name, and kept.
func (k *Kit) KeptText(name, alphabet string, n int) (string, error) {
	made, err := k.Text(alphabet, n)
	if err != nil {
		return "", err
	}
	err = k.Books.Do(func(tx *Tx) error {
		if found, err := tx.Get(textKind, name, &made); found || err != nil {
			return err
		}
		return tx.Put(textKind, name, made)
	})
	return made, err
}

// SignRSA returns the Base64 text of the PKCS#1 v1.5 signature over SHA-256 of the message.
func SignRSA(key *rsa.PrivateKey, message []byte) (string, error) {
	sum := sha256.Sum256(message)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("simkit: sign: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

// VerifyRSA tells whether the Base64 text is the key's PKCS#1 v1.5 signature over SHA-256 of the message.
func VerifyRSA(key *rsa.PublicKey, message []byte, signature string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(signature)
	if err != nil {
		return false
	}
	sum := sha256.Sum256(message)
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw) == nil
}

// PrivatePEM returns the key as a PKCS#8 "PRIVATE KEY" block.
func PrivatePEM(key *rsa.PrivateKey) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("simkit: write a private key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), nil
}

// PublicPEM returns the key as an SPKI "PUBLIC KEY" block.
func PublicPEM(key *rsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("simkit: write a public key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}
