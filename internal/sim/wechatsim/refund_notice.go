package wechatsim

import (
	"bytes"
	"crypto/aes"
	"crypto/md5" //nolint:gosec // APIv2's own
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"piaohao/internal/sim/simkit"
)

// Who writes the notices of refunds: each protocol has one for payments and one for refunds.
const (
	refundPostmanName   = "wechat.refund"
	v2RefundPostmanName = "wechat.v2.refund"
)

// refundFacts is the inner text of a refund's notice (退款结果回调通知): refund_status is what the interface calls status.
type refundFacts struct {
	MerchantID    string `json:"mchid"`
	OutTradeNo    string `json:"out_trade_no"`
	TransactionID string `json:"transaction_id"`
	OutRefundNo   string `json:"out_refund_no"`
	RefundID      string `json:"refund_id"`
	RefundStatus  string `json:"refund_status"`
	SuccessTime   string `json:"success_time,omitempty"`
	Receiver      string `json:"user_received_account"`
	Amount        struct {
		Total       int64 `json:"total"`
		Refund      int64 `json:"refund"`
		PayerTotal  int64 `json:"payer_total"`
		PayerRefund int64 `json:"payer_refund"`
	} `json:"amount"`
}

// notifyRefund makes the notice of the refund's end due at that end. The facts are fixed now.
func (s *Sim) notifyRefund(tx *simkit.Tx, id string, o order, r refund) error {
	by, facts := refundPostmanName, any(s.refundFacts(o, r))
	if r.V2 {
		by, facts = v2RefundPostmanName, v2ReqInfo(o, r)
	}
	content, err := json.Marshal(facts)
	if err != nil {
		return fmt.Errorf("wechatsim: notice: %w", err)
	}
	return s.kit.Notices.Add(tx, simkit.Notice{ID: id, Platform: by, URL: r.NotifyURL, Due: r.Settles, Content: content})
}

func (s *Sim) refundFacts(o order, r refund) refundFacts {
	f := refundFacts{
		MerchantID: s.credentials.MerchantID, OutTradeNo: o.OutTradeNo, TransactionID: o.TransactionID,
		OutRefundNo: r.OutRefundNo, RefundID: r.RefundID, RefundStatus: r.Outcome, Receiver: refundReceiver,
	}
	f.Amount.Total, f.Amount.PayerTotal, f.Amount.Refund, f.Amount.PayerRefund = o.Total, o.Total, r.Amount, r.Amount
	if r.Outcome == refundSuccess {
		f.SuccessTime = r.Settles.In(beijing).Format(timeForm)
	}
	return f
}

// refundPostman writes APIv3's notices of refunds; table and answers are those of payments.
type refundPostman struct{ postman }

var refundSummaries = map[string]string{refundSuccess: "退款成功", refundAbnormal: "退款异常", refundClosed: "退款关闭"}

func (p refundPostman) Write(n simkit.Notice, probe bool) (http.Header, []byte, error) {
	var facts refundFacts
	if err := json.Unmarshal(n.Content, &facts); err != nil {
		return nil, nil, fmt.Errorf("wechatsim: notice: %w", err)
	}
	return p.write(n, probe, "refund", "REFUND."+facts.RefundStatus, refundSummaries[facts.RefundStatus])
}

// v2RefundStates are APIv2's words for what APIv3 calls its own.
var v2RefundStates = map[string]string{
	refundSuccess: "SUCCESS", refundAbnormal: "CHANGE", refundClosed: "REFUNDCLOSE", refundProcessing: "PROCESSING",
}

// v2ReqInfo is the inner text of APIv2's notice, before it is encrypted (退款结果通知).
func v2ReqInfo(o order, r refund) []element {
	source := "API"
	if r.By == simkit.ByConsole {
		source = "VENDOR_PLATFORM"
	}
	amount, total := strconv.FormatInt(r.Amount, 10), strconv.FormatInt(o.Total, 10)
	message := []element{
		{"out_refund_no", r.OutRefundNo},
		{"out_trade_no", o.OutTradeNo},
		{"refund_account", v2Account(r)},
		{"refund_fee", amount},
		{"refund_id", r.RefundID},
		{"refund_recv_accout", refundReceiver}, // sic
		{"refund_request_source", source},
		{"refund_status", v2RefundStates[r.Outcome]},
		{"settlement_refund_fee", amount},
		{"settlement_total_fee", total},
	}
	if r.Outcome == refundSuccess {
		message = append(message, element{"success_time", r.Settles.In(beijing).Format(time.DateTime)})
	}
	return append(message, element{"total_fee", total}, element{"transaction_id", o.TransactionID})
}

func v2Account(r refund) string {
	if r.Account == accountUnsettled {
		return "REFUND_SOURCE_UNSETTLED_FUNDS"
	}
	return "REFUND_SOURCE_RECHARGE_FUNDS"
}

// v2RefundPostman writes APIv2's notices of refunds: nothing is signed, req_info is encrypted under a digest of the
// merchant's key. A probe is encrypted under another.
type v2RefundPostman struct{ v2Postman }

func (p v2RefundPostman) Write(n simkit.Notice, probe bool) (http.Header, []byte, error) {
	var inner []element
	if err := json.Unmarshal(n.Content, &inner); err != nil {
		return nil, nil, fmt.Errorf("wechatsim: notice: %w", err)
	}
	nonce, err := p.sim.kit.Text(simkit.AlphaNum, 32)
	if err != nil {
		return nil, nil, err
	}
	key := p.sim.credentials.MchKey
	if probe {
		key += "?"
	}
	info, err := encryptECB(writeRoot(inner), key)
	if err != nil {
		return nil, nil, err
	}
	return v2Header(), writeXML([]element{
		{"return_code", "SUCCESS"},
		{"appid", p.sim.credentials.AppID},
		{"mch_id", p.sim.credentials.MerchantID},
		{"nonce_str", nonce},
		{"req_info", info},
	}), nil
}

// encryptECB is AES-256-ECB with PKCS #7 under the lower-case hex text of the key's MD5, in Base64 (退款结果通知,
// 解密步骤).
func encryptECB(plain []byte, key string) (string, error) {
	sum := md5.Sum([]byte(key)) //nolint:gosec // as above
	block, err := aes.NewCipher([]byte(hex.EncodeToString(sum[:])))
	if err != nil {
		return "", fmt.Errorf("wechatsim: req_info: %w", err)
	}
	size := block.BlockSize()
	padding := size - len(plain)%size
	plain = append(plain, bytes.Repeat([]byte{byte(padding)}, padding)...)
	for at := 0; at < len(plain); at += size {
		block.Encrypt(plain[at:at+size], plain[at:at+size])
	}
	return base64.StdEncoding.EncodeToString(plain), nil
}
