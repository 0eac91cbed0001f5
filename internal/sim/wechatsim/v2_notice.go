package wechatsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"piaohao/internal/sim/simkit"
)

// v2PostmanName tells the outbox who writes a notice; to payers and checkers both protocols are one platform.
const v2PostmanName = "wechat.v2"

// v2Content is what is kept of a notice between its tries.
type v2Content struct {
	SignType signType `json:"sign_type"`
	Fields   fields   `json:"fields"`
}

// v2Facts is a notice without what each try adds (APIv2, 支付结果通知).
func (s *Sim) v2Facts(o order) fields {
	f := fields{
		"return_code": "SUCCESS", "appid": s.credentials.AppID, "mch_id": s.credentials.MerchantID, "result_code": "SUCCESS",
	}
	for _, e := range append(o.device(), s.v2Money(o)...) {
		f[e.name] = e.value
	}
	if o.SignType != signMD5 { // which is what a message without the field means
		f["sign_type"] = string(o.SignType)
	}
	return f
}

// v2Postman writes APIv2's notices and judges their answers.
type v2Postman struct{ sim *Sim }

// Retries is the same table as APIv3's (支付结果通知).
func (v2Postman) Retries() []time.Duration { return retries }

// Acknowledged only by a message whose return_code is SUCCESS.
func (v2Postman) Acknowledged(status int, body []byte) bool {
	f, err := parseXML(body)
	return err == nil && status == http.StatusOK && f["return_code"] == "SUCCESS"
}

// Write makes one try: the same facts under a new nonce_str, sorted by name as the platform sends them.
func (p v2Postman) Write(n simkit.Notice, probe bool) (http.Header, []byte, error) {
	var content v2Content
	if err := json.Unmarshal(n.Content, &content); err != nil {
		return nil, nil, fmt.Errorf("wechatsim: notice: %w", err)
	}
	nonce, err := p.sim.kit.Text(simkit.AlphaNum, 32)
	if err != nil {
		return nil, nil, err
	}
	f := content.Fields
	f["nonce_str"] = nonce
	f["sign"] = p.sim.signV2(f, content.SignType, probe)
	var message []element
	for _, name := range slices.Sorted(maps.Keys(f)) {
		message = append(message, element{name, f[name]})
	}
	return v2Header(), writeXML(message), nil
}

func v2Header() http.Header {
	h := http.Header{}
	h.Set("Content-Type", "text/xml")
	h.Set("Accept", "*/*")
	h.Set("User-Agent", "Mozilla/4.0")
	return h
}
