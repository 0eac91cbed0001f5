package wechatsim

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"

	"piaohao/internal/sim/simkit"
)

// answer is what goes back: a body of JSON, nothing (204), or a refusal.
type answer struct {
	status   int
	internal int // 0 = OK
	body     any // nil = none
}

func refusal(e *apiError) answer { return answer{status: e.Status, internal: e.Internal, body: e} }

// write sends the answer. Every 2xx is signed, the empty 204 included (签名验证); a 401 is not, since its caller is
// nobody; other refusals are, unless the faults say otherwise (what the platform does is not documented).
func (s *Sim) write(w http.ResponseWriter, by signer, a answer, probe bool) {
	var body []byte
	if a.body != nil {
		var err error
		if body, err = encode(a.body); err != nil {
			s.fail(w, err)
			return
		}
	}
	id, err := s.kit.Text(simkit.UpperHex, 42)
	if err != nil {
		s.fail(w, err)
		return
	}
	h := w.Header()
	h.Set("Date", s.kit.Wall().UTC().Format(http.TimeFormat))
	h.Set("Request-ID", "08"+id+"-"+strconv.Itoa(a.internal))
	h.Set("Content-Language", "zh-CN")
	h.Set("Cache-Control", "no-cache, must-revalidate")
	h.Set("X-Content-Type-Options", "nosniff")
	if a.body != nil {
		h.Set("Content-Type", "application/json; charset=utf-8")
	}
	ok := a.status < http.StatusMultipleChoices
	if ok || a.status != http.StatusUnauthorized && !s.kit.Faults.Settings().UnsignedErrors {
		if err := s.sign(h, by, body, probe); err != nil {
			s.fail(w, err)
			return
		}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(body)
}

// sign sets the platform's five headers over the body (签名验证): answers and notices are signed alike.
func (s *Sim) sign(h http.Header, by signer, body []byte, probe bool) error {
	nonce, err := s.kit.Text(simkit.AlphaNum, 32)
	if err != nil {
		return err
	}
	timestamp := strconv.FormatInt(s.kit.Wall().Unix(), 10)
	signature, err := simkit.SignRSA(by.key, answerMessage(timestamp, nonce, body))
	if err != nil {
		return err
	}
	if probe {
		signature = "WECHATPAY/SIGNTEST/" + signature
	}
	h.Set("Wechatpay-Timestamp", timestamp)
	h.Set("Wechatpay-Nonce", nonce)
	h.Set("Wechatpay-Serial", by.id)
	h.Set("Wechatpay-Signature", signature)
	h.Set("Wechatpay-Signature-Type", scheme)
	return nil
}

// answerMessage is the text the platform signs: three lines, each ended by a line feed.
func answerMessage(timestamp, nonce string, body []byte) []byte {
	var b bytes.Buffer
	b.WriteString(timestamp)
	b.WriteByte('\n')
	b.WriteString(nonce)
	b.WriteByte('\n')
	b.Write(body)
	b.WriteByte('\n')
	return b.Bytes()
}

// encode writes JSON as the platform does: no escaping for HTML, no line end.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// fail answers what a broken platform answers, unsigned: the simulator itself cannot go on.
func (s *Sim) fail(w http.ResponseWriter, err error) {
	s.kit.Log.Error("wechatsim: cannot answer", "error", err)
	http.Error(w, `{"code":"SYSTEM_ERROR","message":"系统异常"}`, http.StatusInternalServerError)
}
