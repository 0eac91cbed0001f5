package wechatsim

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"piaohao/internal/sim/simkit"
)

// retries is the documented table: 15 retries over 24 h 4 min (支付成功回调通知).
var retries = []time.Duration{
	15 * time.Second, 15 * time.Second, 30 * time.Second,
	3 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute,
	60 * time.Minute, 3 * time.Hour, 3 * time.Hour, 3 * time.Hour, 6 * time.Hour, 6 * time.Hour,
}

const algorithm = "AEAD_AES_256_GCM"

// envelope is a notice's body (支付成功回调通知).
type envelope struct {
	ID           string   `json:"id"`
	CreateTime   string   `json:"create_time"`
	ResourceType string   `json:"resource_type"`
	EventType    string   `json:"event_type"`
	Summary      string   `json:"summary"`
	Resource     resource `json:"resource"`
}

type resource struct {
	OriginalType string `json:"original_type"`
	sealed
}

// postman writes this platform's notices and judges their answers.
type postman struct{ sim *Sim }

func (postman) Retries() []time.Duration { return retries }

// Acknowledged: 200 or 204 with any body; a redirect is no acknowledgement.
func (postman) Acknowledged(status int, _ []byte) bool {
	return status == http.StatusOK || status == http.StatusNoContent
}

// Write makes one try: the same id and facts each time, encrypted and signed anew.
func (p postman) Write(n simkit.Notice, probe bool) (http.Header, []byte, error) {
	return p.write(n, probe, "transaction", "TRANSACTION.SUCCESS", "支付成功")
}

// write makes a notice of either kind. The original type also is the associated data: real notices never leave it empty.
func (p postman) write(n simkit.Notice, probe bool, originalType, event, summary string) (http.Header, []byte, error) {
	facts, err := p.sim.encrypt(n.Content, originalType)
	if err != nil {
		return nil, nil, err
	}
	body, err := encode(envelope{
		ID: n.ID, CreateTime: n.Created.In(beijing).Format(timeForm), ResourceType: "encrypt-resource",
		EventType: event, Summary: summary, Resource: resource{OriginalType: originalType, sealed: facts},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("wechatsim: notice: %w", err)
	}
	h := http.Header{}
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "*/*")
	h.Set("User-Agent", "Mozilla/4.0")
	return h, body, p.sim.sign(h, p.sim.noticeSigner(n), body, probe)
}

func (s *Sim) encrypt(plaintext []byte, associated string) (sealed, error) {
	nonce, err := s.kit.Text(simkit.AlphaNum, s.seal.NonceSize())
	if err != nil {
		return sealed{}, err
	}
	return sealed{
		Algorithm: algorithm, Nonce: nonce, AssociatedData: associated,
		Ciphertext: base64.StdEncoding.EncodeToString(s.seal.Seal(nil, []byte(nonce), plaintext, []byte(associated))),
	}, nil
}

// notify makes the order's notice due, in the protocol that the order was made with. The facts are fixed now: what later
// becomes of the order does not change them.
func (s *Sim) notify(tx *simkit.Tx, id string, o order) error {
	by, facts := platformName, any(s.object(o, o.PaidAt))
	if o.SignType != "" {
		by, facts = v2PostmanName, v2Content{SignType: o.SignType, Fields: s.v2Facts(o)}
	}
	content, err := json.Marshal(facts)
	if err != nil {
		return fmt.Errorf("wechatsim: notice: %w", err)
	}
	return s.kit.Notices.Add(tx, simkit.Notice{ID: id, Platform: by, URL: o.NotifyURL, Content: content})
}

// newUUID returns a random (version 4) UUID: the form of the platform's notice ids.
func (s *Sim) newUUID() (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(s.kit.Random, b[:]); err != nil {
		return "", fmt.Errorf("wechatsim: read random bytes: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}
