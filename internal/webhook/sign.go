// Package webhook tells shops what happened: it signs events (Standard Webhooks 1.0.0, symmetric v1), sends one
// delivery per Step, and keeps the sender away from addresses that are not the public internet's.
package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"piaohao/internal/secret"
)

// Lengths of a signing key in bytes (Standard Webhooks, "Signature scheme").
const (
	minKey = 24
	maxKey = 64
)

// exampleSecret is printed in the Standard Webhooks documents: everybody can sign with it.
const exampleSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// maxKeys is how many keys sign at once: the new one, and the old one until the shop knows the new one.
const maxKeys = 2

// ErrSecret is the answer to a secret that cannot protect anybody.
var ErrSecret = errors.New("webhook secret must be whsec_ and the base64 of 24 to 64 random bytes; while it changes, the new one, a comma, the old one")

// CheckSecret reports whether s may be an endpoint's secret: nil or ErrSecret. Ask before saving one.
func CheckSecret(s secret.Text) error {
	_, err := signingKeys(s)
	return err
}

// signingKeys are the keys of a comma list, each of which signs: a shop that knows either one verifies what it gets, so
// that a secret is changed without losing an event (Standard Webhooks, "Secret rotation").
func signingKeys(s secret.Text) ([][]byte, error) {
	texts := strings.Split(s.Reveal(), ",")
	if len(texts) > maxKeys {
		return nil, ErrSecret
	}
	var keys [][]byte
	for _, text := range texts {
		key, err := signingKey(text)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func signingKey(whole string) ([]byte, error) {
	text, ok := strings.CutPrefix(whole, "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < minKey || len(key) > maxKey || whole == exampleSecret {
		return nil, ErrSecret
	}
	if base64.StdEncoding.EncodeToString(key) != text { // the decoder skips line breaks and loose bits
		return nil, ErrSecret
	}
	return key, nil
}

// sign returns the webhook-signature of body, sent at the given time under the event's id: one for each key, with a
// space between. The signed bytes are id.timestamp.body.
func sign(keys [][]byte, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
