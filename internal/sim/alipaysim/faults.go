package alipaysim

import (
	"encoding/json"
	"io"
	"net/http"
)

// Faults are Alipay's own ways to misbehave and the settings that docs and
// contracts differ on; the zero value is a well-behaved gateway with the
// defaults of today's docs. Loss, delay and the like are simkit.Faults. They
// are forgotten at a restart.
type Faults struct {
	UnknownResult    bool `json:"unknown_result"`     // calls take effect and answer 20000
	FundChangeN      bool `json:"fund_change_n"`      // a refund takes effect and says fund_change N
	FundChangeAbsent bool `json:"fund_change_absent"` // replies to refunds have no fund_change
	LateRefunds      bool `json:"late_refunds"`       // a refund is done only refund_ms after it was answered, with N
	NoRefundNotices  bool `json:"no_refund_notices"`  // refunds are not notified (docs of 2026)
	EscapedSlash     bool `json:"escaped_slash"`      // replies write / as \/ and sign what they write
	SlashSignedPlain bool `json:"slash_signed_plain"` // replies write / as \/ and sign / (old gateways)
	UnsignedSuccess  bool `json:"unsigned_success"`   // code 10000 comes without sign
	DuplicateNode    bool `json:"duplicate_node"`     // a forged second node follows the signed one
	GBKErrors        bool `json:"gbk_errors"`         // refusals come in GBK whatever was asked for
	TakesRSA         bool `json:"takes_rsa"`          // the app is set to take the legacy RSA as well
	ClosedNotices    bool `json:"closed_notices"`     // TRADE_CLOSED is notified (page and wap docs of 2020)
	CleanContentType bool `json:"clean_content_type"` // notices carry a well-formed Content-Type
	NoticeCertSN     bool `json:"notice_cert_sn"`     // notices in certificate mode carry alipay_cert_sn, signed along (documents are silent)
	NoticeCertSNOut  bool `json:"notice_cert_sn_out"` // they carry it and the signature leaves it out
}

const maxFaultsBody = 4 << 10

// SetFaults replaces all settings.
func (s *Sim) SetFaults(f Faults) { s.faults.Store(&f) }

// serveFaults tells the settings, and on POST replaces them; what the body
// does not name is off. An unknown name is refused: a probe that is silently
// not made would pass every test.
func (s *Sim) serveFaults(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		var f Faults
		decoder := json.NewDecoder(io.LimitReader(r.Body, maxFaultsBody))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&f); err != nil {
			http.Error(w, "faults: "+err.Error(), http.StatusBadRequest)
			return
		}
		s.SetFaults(f)
	}
	writeJSON(w, s.faults.Load())
}

func writeJSON(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // a failed write is the client's hang-up
}
