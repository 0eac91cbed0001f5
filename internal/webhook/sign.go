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

// ErrSecret is the answer to a secret that cannot protect anybody.
var ErrSecret = errors.New("webhook secret must be whsec_ and the base64 of 24 to 64 random bytes")

// CheckSecret reports whether s may be an endpoint's secret: nil or ErrSecret. Ask before saving one.
func CheckSecret(s secret.Text) error {
	_, err := signingKey(s)
	return err
}

func signingKey(s secret.Text) ([]byte, error) {
	text, ok := strings.CutPrefix(s.Reveal(), "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < minKey || len(key) > maxKey || s.Reveal() == exampleSecret {
		return nil, ErrSecret
	}
	if base64.StdEncoding.EncodeToString(key) != text { // the decoder skips line breaks and loose bits
		return nil, ErrSecret
	}
	return key, nil
}

// sign returns the webhook-signature of body, sent at the given time under the event's id. The signed bytes are
// id.timestamp.body.
func sign(key []byte, id string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
