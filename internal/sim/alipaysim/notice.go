package alipaysim

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"piaohao/internal/sim/simkit"
)

// notify makes the notice of the trade's state due, if that state is notified:
// TRADE_SUCCESS always, TRADE_CLOSED only when switched on (docs of 2026 against
// those of 2020). An expiry is noticed when the trade is next looked at.
func (s *Sim) notify(tx *simkit.Tx, t trade) error {
	isSent := t.Status == tradeSuccess || t.Status == tradeClosed && t.Paid.IsZero() && s.faults.Load().ClosedNotices
	if !isSent || t.Order.NotifyURL == "" {
		return nil
	}
	return s.owe(tx, notice{trade: t}, time.Time{})
}

// notifyRefund makes the notice of a refund due when it is done. It goes where the payment's went: trade.refund names no
// address (its docs, 触发通知).
func (s *Sim) notifyRefund(tx *simkit.Tx, t trade, r refund) error {
	if t.Order.NotifyURL == "" || s.faults.Load().NoRefundNotices {
		return nil
	}
	return s.owe(tx, notice{trade: t.at(r.Done), Refund: &r}, r.Done)
}

// notice is what is kept of one between its tries: the trade as it was, and the refund that it tells of.
type notice struct {
	trade
	Refund *refund `json:"refund,omitempty"`
}

func (s *Sim) owe(tx *simkit.Tx, n notice, due time.Time) error {
	content, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return s.kit.Notices.Add(tx, simkit.Notice{
		ID: n.notifyID(), Platform: s.Name(), URL: n.Order.NotifyURL, Due: due, Content: content,
	})
}

// notifyID is 34 digits that stay the same over the notice's tries.
func (n notice) notifyID() string {
	event, at := n.TradeNo+n.Status, n.Paid
	if at.IsZero() {
		at = n.Closed
	}
	if n.Refund != nil {
		event, at = n.TradeNo+"refund"+n.Refund.RequestNo, n.Refund.Done
	}
	sum := sha256.Sum256([]byte(event))
	return fmt.Sprintf("%s0022%011d%011d", at.In(beijing).Format("20060102"),
		binary.BigEndian.Uint64(sum[:])%1e11, binary.BigEndian.Uint64(sum[8:])%1e11)
}

// postman writes and judges the platform's notices.
type postman struct{ *Sim }

// Retries is the table of the asynchronous notification's docs: 8 sends in all.
func (postman) Retries() []time.Duration {
	return []time.Duration{
		4 * time.Minute, 10 * time.Minute, 10 * time.Minute,
		time.Hour, 2 * time.Hour, 6 * time.Hour, 15 * time.Hour,
	}
}

// Acknowledged only by the seven bytes "success".
func (postman) Acknowledged(status int, body []byte) bool {
	return status == http.StatusOK && string(body) == "success"
}

// Write makes one try's form. A probe's signature is over another text.
func (p postman) Write(n simkit.Notice, probe bool) (http.Header, []byte, error) {
	var t notice
	if err := json.Unmarshal(n.Content, &t); err != nil {
		return nil, nil, fmt.Errorf("notice %s: %w", n.ID, err)
	}
	fields := p.noticeFields(t, p.kit.Clock.Now())
	if p.faults.Load().NoticeCertSN && p.certSN() != "" {
		fields["alipay_cert_sn"] = p.certSN()
	}
	message, err := signMessage(p.platformKey, t.Order.SignType, fields.encode(t.Order.Charset), probe)
	if err != nil {
		return nil, nil, err
	}
	if p.faults.Load().NoticeCertSNOut && p.certSN() != "" {
		message["alipay_cert_sn"] = p.certSN()
	}
	header, inCapitals := http.Header{}, strings.ToUpper(string(t.Order.Charset))
	// The platform's own header, which no media type parser accepts.
	header.Set("Content-Type", "application/x-www-form-urlencoded; text/html; charset="+inCapitals)
	if p.faults.Load().CleanContentType {
		header.Set("Content-Type", "application/x-www-form-urlencoded; charset="+inCapitals)
	}
	header.Set("User-Agent", "Mozilla/4.0")
	return header, []byte(message.form()), nil
}

// signMessage adds sign and sign_type by the rule of notices and return links:
// neither of the two is part of the signed text, so they come after it.
func signMessage(key *rsa.PrivateKey, t signType, message params, probe bool) (params, error) {
	text := message.canonical()
	if probe {
		text += " "
	}
	signature, err := sign(key, t, text)
	if err != nil {
		return nil, err
	}
	message["sign"], message["sign_type"] = signature, string(t)
	return message, nil
}

// noticeFields are those of a real trade notice, now being its notify_time.
// Empty values are never sent.
func (s *Sim) noticeFields(t notice, now time.Time) params {
	amount := simkit.Yuan(t.Order.Fen)
	p := params{
		"notify_time": formatTime(now), "notify_type": "trade_status_sync", "notify_id": t.notifyID(),
		"app_id": s.credentials.AppID, "auth_app_id": s.credentials.AppID, "charset": string(t.Order.Charset), "version": "1.0",
		"trade_no": t.TradeNo, "out_trade_no": t.Order.OutTradeNo, "trade_status": t.Status,
		"buyer_id": buyerID, "buyer_logon_id": buyerLogonID, "seller_id": s.credentials.SellerID, "seller_email": sellerEmail,
		"total_amount": amount, "subject": t.Order.Subject, "gmt_create": formatTime(t.Created),
	}
	switch {
	case t.Refund != nil:
		t.refundFields(p)
	case t.Status == tradeSuccess:
		p["receipt_amount"], p["invoice_amount"], p["buyer_pay_amount"], p["point_amount"] = amount, amount, amount, "0.00"
		p["fund_bill_list"] = `[{"amount":"` + amount + `","fundChannel":"ALIPAYACCOUNT"}]`
		p["gmt_payment"] = formatTime(t.Paid)
	default:
		p["gmt_close"] = formatTime(t.Closed)
	}
	if t.Order.Body != "" {
		p["body"] = t.Order.Body
	}
	if t.Order.Passback != "" {
		p["passback_params"] = t.Order.Passback
	}
	return p
}

// refundFields are those of real notices of refunds (stored samples of 2016 to 2020): refund_fee is the sum of all refunds
// of the trade so far, and nothing tells what was received.
func (n notice) refundFields(p params) {
	done, _ := n.refunded(n.Refund.Done)
	p["gmt_payment"] = formatTime(n.Paid)
	p["gmt_refund"] = n.Refund.Done.In(beijing).Format(wireTime + ".000")
	p["refund_fee"] = simkit.Yuan(done)
	p["out_biz_no"] = n.Refund.RequestNo
	if n.Status == tradeClosed {
		p["gmt_close"] = formatTime(n.Closed)
	}
}

// returnLink is the payer's way back after paying: the merchant's return_url
// with its own query, and the signed fields behind it. They prove nothing: no
// trade_status is among them. "" when the order names no return_url.
func (s *Sim) returnLink(t trade) (string, error) {
	back, err := url.Parse(t.Order.ReturnURL)
	if err != nil || t.Order.ReturnURL == "" {
		return "", err
	}
	message := params{
		"app_id": s.credentials.AppID, "auth_app_id": s.credentials.AppID, "charset": string(t.Order.Charset), "method": t.Order.Method + ".return",
		"out_trade_no": t.Order.OutTradeNo, "trade_no": t.TradeNo, "total_amount": simkit.Yuan(t.Order.Fen),
		"seller_id": s.credentials.SellerID, "timestamp": formatTime(s.kit.Clock.Now()), "version": "1.0",
	}
	message, err = signMessage(s.platformKey, t.Order.SignType, message, false)
	if err != nil {
		return "", err
	}
	if back.RawQuery != "" {
		back.RawQuery += "&"
	}
	back.RawQuery += message.form()
	return back.String(), nil
}
