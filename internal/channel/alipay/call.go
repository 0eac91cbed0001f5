package alipay

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"piaohao/internal/channel"
	"piaohao/internal/strict"
)

// number is the biz_content of a query and of a close.
type number struct {
	OutTradeNo string `json:"out_trade_no"`
}

// reply is what we read of the node of an answer: verified bytes, nothing else.
type reply struct {
	Code           string `json:"code"`
	SubCode        string `json:"sub_code"`
	OutTradeNo     string `json:"out_trade_no"`
	TradeNo        string `json:"trade_no"`
	TradeStatus    string `json:"trade_status"`
	TotalAmount    string `json:"total_amount"`
	ReceiptAmount  string `json:"receipt_amount"`
	BuyerPayAmount string `json:"buyer_pay_amount"`
	RefundFee      string `json:"refund_fee"`
	SendPayDate    string `json:"send_pay_date"`
	TransCurrency  string `json:"trans_currency"`
	FundChange     string `json:"fund_change"`
	OutRequestNo   string `json:"out_request_no"`
	RefundStatus   string `json:"refund_status"`
	RefundAmount   string `json:"refund_amount"`
	GmtRefundPay   string `json:"gmt_refund_pay"`
}

// call asks method with biz as its biz_content. The public parameters travel in the query and biz_content in the body,
// both as utf-8 (opendocs, public parameters). The reply's signature held; every error is of kind Unknown.
func (c *client) call(ctx context.Context, op, method string, biz any) (reply, error) {
	if err := c.mayAsk(op); err != nil {
		return reply{}, err
	}
	fields, err := c.signed(op, c.fields(method, c.env.Now()), biz)
	if err != nil {
		return reply{}, err
	}
	var body strings.Builder
	body.WriteString("biz_content=")
	escape(&body, fields.Get("biz_content"))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url(fields, "biz_content"), strings.NewReader(body.String()))
	if err != nil {
		return reply{}, fail(op, channel.Unknown, "request", "the request could not be built")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded;charset=utf-8")
	answer, err := c.env.Call(op, req)
	if err != nil {
		return reply{}, err
	}
	if answer.Status != http.StatusOK { // the gateway answers 200 even for errors
		return reply{}, fail(op, channel.Unknown, "http_status", "the gateway did not answer 200")
	}
	return c.read(op, method, answer.Body)
}

// read takes an answer apart. The signature covers the raw text of the method's node (opendocs, verifying answers); what is decoded is
// exactly the text that was verified. alipay_cert_sn is not signed: it can only tell why verifying would be in vain.
func (c *client) read(op, method string, body []byte) (reply, error) {
	nodes := map[string]json.RawMessage{}
	if err := strict.Decode(body, &nodes); err != nil {
		return reply{}, &channel.Error{Kind: channel.Unknown, Op: op, Code: "unreadable", Text: "the answer is not the JSON it should be", Cause: err}
	}
	if nodes["error_response"] != nil {
		return reply{}, fail(op, channel.Unknown, "error_response", "the gateway refused the request as a whole"+says(nodes["error_response"]))
	}
	node := nodes[strings.ReplaceAll(method, ".", "_")+"_response"]
	if node == nil {
		return reply{}, fail(op, channel.Unknown, "no_answer", "the answer is not about this call")
	}
	var sn, signature string
	if nodes["alipay_cert_sn"] != nil && strict.Decode(nodes["alipay_cert_sn"], &sn) != nil || c.otherCert(sn) {
		return reply{}, fail(op, channel.Unknown, "cert_sn", otherCertText+says(node))
	}
	if nodes["sign"] == nil || strict.Decode(nodes["sign"], &signature) != nil {
		return reply{}, fail(op, channel.Unknown, "unsigned", "the answer is not signed"+says(node))
	}
	if !verify(c.public, node, signature) {
		// The gateway may send \/ and sign / (seen in the Java and PHP clients, which retry the same way).
		node = bytes.ReplaceAll(node, []byte(`\/`), []byte(`/`))
		if !verify(c.public, node, signature) {
			return reply{}, fail(op, channel.Unknown, "signature", "the answer's signature does not hold"+says(node))
		}
	}
	if err := c.mayTrust(op, channel.Unknown); err != nil {
		return reply{}, err
	}
	var r reply
	if err := strict.Decode(node, &r); err != nil {
		return reply{}, &channel.Error{Kind: channel.Unknown, Op: op, Code: "unreadable", Text: "the signed answer cannot be read", Cause: err}
	}
	return r, nil
}

// says adds the code in a node that proves nothing, for the log of whoever must mend a configuration: a wrong app id
// is answered unsigned. Only a plain word is taken over.
func says(node []byte) string {
	var r reply
	if strict.Decode(node, &r) != nil {
		return ""
	}
	word := r.SubCode
	if word == "" {
		word = r.Code
	}
	if word == "" || len(word) > maxWord || !only(word, isWordByte) {
		return ""
	}
	return "; it says " + word
}

const maxWord = 64 // of a code of the platform

func isWordByte(c byte) bool { return isNumberByte(c) || c == '.' }
