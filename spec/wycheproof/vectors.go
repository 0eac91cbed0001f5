// Package wycheproof holds test vectors of Project Wycheproof, which nobody of this project wrote, as they were published:
// a failing vector is never edited. Only tests import it.
//
// Source: github.com/c2sp/wycheproof v0.0.0-20260902155932-3fa63dd0344a, testvectors_v1/rsa_signature_2048_sha256_test.json,
// hmac_sha256_test.json and aes_gcm_test.json. Licence: Apache-2.0, the one in LICENSE at the root.
package wycheproof

import (
	_ "embed" // the files stand beside
	"encoding/hex"
	"encoding/json"
)

//go:embed rsa_signature_2048_sha256.json
var rsa2048 []byte

//go:embed hmac_sha256.json
var hmac256 []byte

//go:embed aes_gcm.json
var aesGCM []byte

// Sums are SHA-256 hashes of the files as they were published.
var Sums = map[string]string{
	"rsa_signature_2048_sha256.json": "94a917b01ff50fb874cfc05bf29b4af44868d944a6558201cf18380da93fb393",
	"hmac_sha256.json":               "2d201cfa61d1bf95e6f5d07d96634b4a348b31e8eaa277ad7c8d09677b7a743f",
	"aes_gcm.json":                   "985e5ecc172e181eaf49e89508b9470dcf478002eb7e8559c707eb42dc97dfe7",
}

// Hex is bytes that the files write in hexadecimal.
type Hex []byte

// UnmarshalText reads hexadecimal digits.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// Group is vectors that share a key or sizes.
type Group struct {
	PublicKeyPem string // of RSA
	IVSize       int    // bits, of AES-GCM
	TagSize      int    // bits
	Tests        []Vector
}

// Vector is one test. Which fields are set follows from its file.
type Vector struct {
	TcID                        int
	Comment                     string
	Key, Msg, Sig, Tag, IV, AAD Hex
	CT                          Hex
	Result                      string // "valid", "invalid", or "acceptable": a matter of taste
}

// RSA are signatures by PKCS #1 v1.5 with SHA-256 and keys of 2048 bits.
func RSA() []Group { return groups(rsa2048) }

// HMAC are tags by HMAC-SHA256.
func HMAC() []Group { return groups(hmac256) }

// GCM are texts sealed with AES-GCM.
func GCM() []Group { return groups(aesGCM) }

func groups(file []byte) []Group {
	var all struct{ TestGroups []Group }
	if err := json.Unmarshal(file, &all); err != nil {
		panic(err) // a part of the program is damaged
	}
	return all.TestGroups
}
