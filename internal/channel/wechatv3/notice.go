package wechatv3

import (
	"bytes"
	"crypto/cipher"
	"errors"
	"net/http"
	"strings"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

const (
	algorithm = "AEAD_AES_256_GCM"
	nonceSize = 12 // bytes; Go's GCM panics on another length
)

// resource is the encrypted part of a notice (支付成功回调通知), and of a listed certificate, which has no
// original_type.
type resource struct {
	OriginalType   string `json:"original_type"`
	Algorithm      string `json:"algorithm"`
	Ciphertext     []byte `json:"ciphertext"` // base64 of ciphertext and tag
	AssociatedData string `json:"associated_data"`
	Nonce          string `json:"nonce"`
}

// Read verifies a notice and reads it by its event_type: a payment; a refund, which is never a second payment; or
// something this merchant did not ask about, which is an Unknown without an order.
func (c *client) Read(in channel.Inbound) (pay.Observation, error) {
	const op = "read"
	if !bytes.HasPrefix(bytes.TrimLeft(in.Body, " \t\r\n"), []byte("{")) {
		return pay.Observation{}, fail(op, channel.Foreign, "form", "the body is not JSON")
	}
	if in.RawQuery != "" || len(in.Header["Content-Encoding"]) > 0 { // the platform sends neither (notify_url: no parameters)
		return pay.Observation{}, fail(op, channel.Forged, "form", "a notice has no query and no content encoding")
	}
	if e := c.verify(op, channel.Forged, *c.known.Load(), in.Header, in.Body); e != nil {
		return pay.Observation{}, e
	}
	var notice struct {
		EventType string   `json:"event_type"`
		Resource  resource `json:"resource"`
	}
	if err := strict.Decode(in.Body, &notice); err != nil {
		return pay.Observation{}, &channel.Error{Kind: channel.Forged, Op: op, Code: "envelope", Text: "the notice cannot be read", Cause: err}
	}
	var obs pay.Observation
	var err error
	switch notice.EventType {
	case "TRANSACTION.SUCCESS":
		obs, err = c.payment(notice.Resource)
	case "REFUND.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED":
		obs, err = c.refund(notice.Resource, strings.TrimPrefix(notice.EventType, "REFUND."))
	default:
		obs = c.about(pay.FromNotice, pay.Attempt{}, pay.Unknown)
	}
	if err != nil {
		return pay.Observation{}, &channel.Error{Kind: channel.Forged, Op: op, Code: "resource", Text: "the notice's resource cannot be read", Cause: err}
	}
	return obs, nil
}

func (c *client) payment(r resource) (pay.Observation, error) {
	text, err := decrypt(c.aead, r, "transaction")
	if err != nil {
		return pay.Observation{}, err
	}
	return c.transaction(pay.FromNotice, text)
}

// refund reads a refund notice whose event_type ends in event. It carries no app id. When it contradicts itself, its refund is
// asked about.
func (c *client) refund(r resource, event string) (pay.Observation, error) {
	text, err := decrypt(c.aead, r, "refund")
	if err != nil {
		return pay.Observation{}, err
	}
	var t struct {
		MerchantID    string `json:"mchid"`
		OutTradeNo    string `json:"out_trade_no"`
		TransactionID string `json:"transaction_id"`
		RefundNo      string `json:"out_refund_no"`
		Status        string `json:"refund_status"`
		SuccessTime   string `json:"success_time"`
		Amount        struct {
			Refund pay.Fen `json:"refund"`
		} `json:"amount"`
	}
	if err := strict.Decode(text, &t); err != nil {
		return pay.Observation{}, err
	}
	if t.OutTradeNo == "" || t.RefundNo == "" || t.Amount.Refund <= 0 {
		return pay.Observation{}, errors.New("names no order, no refund or no amount")
	}
	obs := c.about(pay.FromNotice, pay.Attempt{OutTradeNo: t.OutTradeNo}, pay.Unknown)
	obs.MerchantID, obs.TransactionID = t.MerchantID, t.TransactionID
	if t.Status != event {
		obs.Hint = true
		return obs, nil
	}
	obs.Refund = &pay.RefundFact{
		OutRefundNo: t.RefundNo, Amount: t.Amount.Refund, Status: refundStates[t.Status], At: moment(t.SuccessTime),
	}
	return obs, nil
}

// decrypt opens the resource of a notice whose event_type speaks of kind.
func decrypt(aead cipher.AEAD, r resource, kind string) ([]byte, error) {
	if r.OriginalType != kind {
		return nil, errors.New("original_type does not fit event_type")
	}
	return unseal(aead, r)
}

var errUnsealed = errors.New("does not decrypt with WECHAT_API_V3_KEY")

// unseal opens what was encrypted under the APIv3 key. The text overwrites the ciphertext.
func unseal(aead cipher.AEAD, r resource) ([]byte, error) {
	switch {
	case r.Algorithm != algorithm:
		return nil, errors.New("algorithm is not " + algorithm)
	case len(r.Nonce) != nonceSize:
		return nil, errors.New("nonce has not 12 bytes")
	}
	text, err := aead.Open(r.Ciphertext[:0], []byte(r.Nonce), r.Ciphertext, []byte(r.AssociatedData))
	if err != nil {
		return nil, errUnsealed
	}
	return text, nil
}

// Ack is the documented answer; the platform reads the status alone (回调通知: 200 or 204, else it sends again).
func (c *client) Ack(accepted bool) channel.Reply {
	if accepted {
		return channel.Reply{Status: http.StatusOK, ContentType: "application/json", Body: `{"code":"SUCCESS","message":"成功"}`}
	}
	return channel.Reply{Status: http.StatusBadRequest, ContentType: "application/json", Body: `{"code":"FAIL","message":"失败"}`}
}
