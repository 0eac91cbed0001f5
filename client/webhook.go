package client

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far a webhook's timestamp may be from now, either way.
const Tolerance = 5 * time.Minute

const maxSignatures = 16 // in one header; a rotation needs two

// Why a webhook is refused.
var (
	ErrSecret    = errors.New("webhook secret must be whsec_ and the base64 of 24 to 64 bytes")
	ErrHeaders   = errors.New("webhook-id, webhook-timestamp or webhook-signature is missing, doubled or malformed")
	ErrTimestamp = errors.New("webhook timestamp is more than five minutes away from now")
	ErrSignature = errors.New("webhook signature does not match")
	ErrBody      = errors.New("webhook body is no event")
)

// VerifyWebhook checks a webhook (Standard Webhooks, symmetric v1) over its raw body and returns its event. Any one
// of several signatures in the header may match, so a secret can be rotated. Answer 2xx once the event is stored;
// keep Event.ID to know a repeat. Errors: ErrSecret, ErrHeaders, ErrTimestamp, ErrSignature, ErrBody.
func VerifyWebhook(secret string, header http.Header, body []byte, now time.Time) (Event, error) {
	key, err := webhookKey(secret)
	if err != nil {
		return Event{}, err
	}
	id, stamp, signatures := header.Values("Webhook-Id"), header.Values("Webhook-Timestamp"), header.Values("Webhook-Signature")
	if len(id) != 1 || id[0] == "" || len(stamp) != 1 || len(signatures) != 1 {
		return Event{}, ErrHeaders
	}
	seconds, err := strconv.ParseInt(stamp[0], 10, 64)
	if err != nil || stamp[0] != strconv.FormatInt(seconds, 10) {
		return Event{}, ErrHeaders
	}
	if !matches(mac(key, id[0], seconds, body), signatures[0]) {
		return Event{}, ErrSignature
	}
	if sent := time.Unix(seconds, 0); sent.Before(now.Add(-Tolerance)) || sent.After(now.Add(Tolerance)) {
		return Event{}, ErrTimestamp
	}
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		return Event{}, fmt.Errorf("%w: %w", ErrBody, err)
	}
	if e.ID != id[0] || e.Type == "" {
		return Event{}, ErrBody
	}
	return e, nil
}

func matches(want []byte, header string) bool {
	list := strings.Fields(header)
	for _, entry := range list[:min(len(list), maxSignatures)] {
		text, ok := strings.CutPrefix(entry, "v1,")
		if !ok {
			continue // another version of the scheme
		}
		got, err := base64.StdEncoding.Strict().DecodeString(text)
		if err == nil && hmac.Equal(got, want) {
			return true
		}
	}
	return false
}

// SignTestPayload returns the headers of a webhook as the gateway would send body now, for tests of a shop's own
// handler. id is the id of the event in body.
func SignTestPayload(secret, id string, now time.Time, body []byte) (http.Header, error) {
	key, err := webhookKey(secret)
	if err != nil {
		return nil, err
	}
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac(key, id, now.Unix(), body)))
	return h, nil
}

func webhookKey(secret string) ([]byte, error) {
	text, ok := strings.CutPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < 24 || len(key) > 64 || base64.StdEncoding.EncodeToString(key) != text {
		return nil, ErrSecret
	}
	return key, nil
}

func mac(key []byte, id string, seconds int64, body []byte) []byte {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s.%d.", id, seconds)
	h.Write(body)
	return h.Sum(nil)
}
