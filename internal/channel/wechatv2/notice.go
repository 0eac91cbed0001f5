package wechatv2

import (
	"bytes"
	"crypto/aes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

const maxOrderNo = 32 // bytes (统一下单, out_trade_no: String(32))

// Read verifies a notice of a payment (支付结果通知) and reads it. Its signature is tried in the way that it is long for,
// and the Observation's Variant says which way held: an attempt that was begun in the other one does not fit it.
func (c *client) Read(in channel.Inbound) (pay.Observation, error) {
	const op = "read"
	if !bytes.HasPrefix(bytes.TrimLeft(in.Body, " \t\r\n"), []byte("<")) {
		return pay.Observation{}, fail(op, channel.Foreign, "form", "the body is not XML")
	}
	if in.RawQuery != "" || len(in.Header["Content-Encoding"]) > 0 { // the platform sends neither (notify_url: no parameters)
		return pay.Observation{}, fail(op, channel.Forged, "form", "a notice has no query and no content encoding")
	}
	fields, err := strict.ParseXML(in.Body, "xml")
	if err != nil {
		return pay.Observation{}, &channel.Error{Kind: channel.Forged, Op: op, Code: "xml", Text: "the notice is not a clean flat XML message", Cause: err}
	}
	if fields.Get("req_info") != "" {
		return c.refund(op, fields)
	}
	variant := signMD5
	if len(fields.Get("sign")) == 2*sha256.Size {
		variant = signHMAC
	}
	code := unsplit(fields, "")
	if code == "" {
		code = c.holds(variant, fields)
	}
	switch {
	case code != "" && !c.ours(fields):
		return pay.Observation{}, fail(op, channel.Foreign, "identity", "the notice is for another account")
	case code != "":
		return pay.Observation{}, fail(op, channel.Forged, code, "the notice is not signed as it must be")
	}
	state := pay.Unknown
	if tellsOfPayment(fields) {
		state = pay.Paid
	}
	obs, ok := c.transaction(pay.FromNotice, fields, variant, state)
	if !ok {
		return pay.Observation{}, fail(op, channel.Forged, "total_fee", "the notice's total_fee is no amount")
	}
	return obs, nil
}

// tellsOfPayment: one key signs the messages of both sides, so a signed message may be an answer to a query, an answer
// about a refund, or our own request, sent on by whoever saw it. A notice of a payment has both codes of success
// and an order, no trade_state and nothing of a refund.
func tellsOfPayment(fields strict.Form) bool {
	if fields.Get("return_code") != "SUCCESS" || fields.Get("result_code") != "SUCCESS" || fields.Get("out_trade_no") == "" ||
		fields.Get("trade_state") != "" {
		return false
	}
	for i := range fields {
		if strings.HasPrefix(fields[i].Name, "refund") || strings.HasPrefix(fields[i].Name, "out_refund") {
			return false
		}
	}
	return true
}

// refund reads a refund's notice (退款结果通知), which nobody signs. That it decrypts says only that its 16-byte blocks
// were made with our key once, in whatever order: it is logged as a hint and decides nothing.
func (c *client) refund(op string, fields strict.Form) (pay.Observation, error) {
	if !c.ours(fields) {
		return pay.Observation{}, fail(op, channel.Foreign, "identity", "the notice is for another account")
	}
	text, err := c.open(fields.Get("req_info"))
	var about strict.Form
	if err == nil {
		about, err = strict.ParseXML(text, "root")
	}
	if err != nil {
		return pay.Observation{}, &channel.Error{Kind: channel.Forged, Op: op, Code: "req_info", Text: "the notice's req_info cannot be read with WECHAT_MCH_KEY", Cause: err}
	}
	number := about.Get("out_trade_no")
	c.env.Log.Info("a refund notice came: a hint, because nobody signs it",
		slog.String("account", c.env.Account.ID), slog.String("out_trade_no", clean(number)),
		slog.String("out_refund_no", clean(about.Get("out_refund_no"))), slog.String("refund_status", clean(about.Get("refund_status"))))
	if len(number) > maxOrderNo {
		number = ""
	}
	obs := c.known(pay.FromNotice, pay.Attempt{OutTradeNo: number}, pay.Unknown)
	obs.Hint = true
	return obs, nil
}

var errSealed = errors.New("is not base64 of whole blocks with their padding under this key")

// open decrypts req_info: base64, AES-256-ECB, PKCS #7 (退款结果通知, 解密步骤).
func (c *client) open(sealed string) ([]byte, error) {
	text, err := base64.StdEncoding.Strict().DecodeString(sealed)
	if err != nil || len(text) == 0 || len(text)%aes.BlockSize != 0 {
		return nil, errSealed
	}
	for i := 0; i < len(text); i += aes.BlockSize {
		c.reqInfo.Decrypt(text[i:], text[i:])
	}
	pad := int(text[len(text)-1])
	if pad == 0 || pad > aes.BlockSize || !bytes.Equal(text[len(text)-pad:], bytes.Repeat(text[len(text)-1:], pad)) {
		return nil, errSealed
	}
	return text[:len(text)-pad], nil
}

// The documented answers (支付结果通知, 返回参数), CDATA as printed.
const (
	ackAccepted = `<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>`
	ackRefused  = `<xml><return_code><![CDATA[FAIL]]></return_code><return_msg><![CDATA[失败]]></return_msg></xml>`
)

// Ack is always of status 200: the platform reads return_code, and sends again on FAIL.
func (c *client) Ack(accepted bool) channel.Reply {
	reply := channel.Reply{Status: http.StatusOK, ContentType: "text/xml; charset=utf-8", Body: ackRefused}
	if accepted {
		reply.Body = ackAccepted
	}
	return reply
}
