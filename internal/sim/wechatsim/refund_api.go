package wechatsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"piaohao/internal/sim/simkit"
)

const refundsPath = "/v3/refund/domestic/refunds"

// refundFields is the table of POST /v3/refund/domestic/refunds (申请退款).
var refundFields = []field{
	{name: "transaction_id", max: 32},
	{name: "out_trade_no", max: 32, check: checkOutTradeNo},
	{name: "out_refund_no", required: true, max: 64, check: checkOutRefundNo},
	{name: "reason", max: 80},
	{name: "notify_url", max: 256, check: checkNotifyURL},
	{name: "funds_account", max: 32, check: oneOf(accountAvailable, accountUnsettled)},
	{name: "amount", kind: object, required: true, fields: []field{
		{name: "refund", kind: integer, required: true, least: 1},
		{name: "total", kind: integer, required: true, least: 1},
		{name: "currency", required: true, max: 16, check: checkCurrency},
		{name: "from", kind: list, max: maxElements, fields: []field{
			{name: "account", required: true, max: 32, check: oneOf(accountAvailable, "UNAVAILABLE")},
			{name: "amount", kind: integer, required: true, least: 1},
		}},
	}},
	{name: "goods_detail", kind: list, max: maxElements, fields: []field{
		{name: "merchant_goods_id", required: true, max: 32},
		{name: "wechatpay_goods_id", max: 32},
		{name: "goods_name", max: 256},
		{name: "unit_price", kind: integer, required: true},
		{name: "refund_amount", kind: integer, required: true},
		{name: "refund_quantity", kind: integer, required: true, least: 1},
	}},
}

var outRefundNoForm = regexp.MustCompile(`^[0-9A-Za-z_\-|*@]{1,64}$`)

func checkOutRefundNo(s string) string {
	if !outRefundNoForm.MatchString(s) {
		return "商户退款单号只能是1-64位的数字、大小写字母和_-|*@"
	}
	return ""
}

func oneOf(values ...string) func(string) string {
	return func(s string) string {
		for _, value := range values {
			if s == value {
				return ""
			}
		}
		return "取值为" + strings.Join(values, "、")
	}
}

// refundErrors are APIv3's words (申请退款, 错误码); what has no word of its own there is INVALID_REQUEST.
var refundErrors = map[trouble]*apiError{
	orderAbsent:   {Status: http.StatusNotFound, Internal: 268435461, Code: "RESOURCE_NOT_EXISTS", Message: "订单不存在"},
	orderUnpaid:   {Status: http.StatusNotFound, Internal: 268435461, Code: "RESOURCE_NOT_EXISTS", Message: "订单不存在或未支付"},
	refundAbsent:  {Status: http.StatusNotFound, Internal: 268435461, Code: "RESOURCE_NOT_EXISTS", Message: "退款单不存在"},
	totalDiffers:  invalidRefund("订单金额与原订单不一致，请核实后再试"),
	refundDiffers: invalidRefund("订单金额或退款金额与之前请求不一致，请核实后再试"),
	refundTooMuch: invalidRefund("退款金额超过可退金额"),
	refundTooMany: invalidRefund("一笔订单最多支持50次部分退款"),
	refundTooLate: invalidRefund("订单已经超过可退款的最大期限"),
	refundTooSoon: errTooOften,
	balanceShort:  {Status: http.StatusForbidden, Internal: 268435461, Code: "NOT_ENOUGH", Message: "基本账户余额不足，请充值后重新发起"},
}

func invalidRefund(message string) *apiError {
	return &apiError{Status: http.StatusBadRequest, Internal: internalParam, Code: "INVALID_REQUEST", Message: message}
}

// serveRefunds answers what begins with refundsPath.
func (s *Sim) serveRefunds(c call, rest string) (answer, *apiError, error) {
	number, isOne := strings.CutPrefix(rest, "/")
	switch {
	case c.method == http.MethodPost && rest == "":
		return s.serveRefund(c)
	case c.method == http.MethodGet && isOne && number != "":
		return s.serveRefundQuery(c, number)
	}
	return answer{}, errNoSuchURL, nil
}

func (s *Sim) serveRefund(c call) (answer, *apiError, error) {
	if refused := noQuery(c.query); refused != nil {
		return answer{}, refused, nil
	}
	doc, refused := parseBody(c.body, refundFields)
	if refused != nil {
		return answer{}, refused, nil
	}
	ask, refused, err := newRefundAsk(doc)
	if refused != nil || err != nil {
		return answer{}, refused, err
	}
	o, r, why, err := s.askRefund(ask)
	if why != noTrouble || err != nil {
		return answer{}, refundErrors[why], err
	}
	return answer{status: http.StatusOK, body: newRefundObject(o, r, s.kit.Clock.Now())}, nil, nil
}

// newRefundAsk reads a checked request.
func newRefundAsk(doc map[string]any) (refundAsk, *apiError, error) {
	canonical, err := json.Marshal(doc)
	if err != nil {
		return refundAsk{}, nil, fmt.Errorf("wechatsim: canonical request: %w", err)
	}
	ask := refundAsk{refund: refund{Request: string(canonical), By: simkit.ByAPI, Account: accountUnsettled}}
	ask.transactionID, _ = doc["transaction_id"].(string)
	ask.outTradeNo, _ = doc["out_trade_no"].(string)
	ask.OutRefundNo, _ = doc["out_refund_no"].(string)
	ask.NotifyURL, _ = doc["notify_url"].(string)
	if account, ok := doc["funds_account"].(string); ok {
		ask.Account = account
	}
	if ask.transactionID == "" && ask.outTradeNo == "" {
		return ask, paramError("body", "/transaction_id", "", "transaction_id和out_trade_no必须二选一"), nil
	}
	amount, _ := doc["amount"].(map[string]any)
	for name, into := range map[string]*int64{"refund": &ask.amount, "total": &ask.total} {
		number, _ := amount[name].(json.Number)
		if *into, err = number.Int64(); err != nil {
			return ask, nil, fmt.Errorf("wechatsim: amount: %w", err)
		}
	}
	return ask, nil, nil
}

func (s *Sim) serveRefundQuery(c call, escaped string) (answer, *apiError, error) {
	number, err := url.PathUnescape(escaped)
	if err != nil || strings.Contains(number, "/") {
		return answer{}, errNoSuchURL, nil
	}
	if refused := noQuery(c.query); refused != nil {
		return answer{}, refused, nil
	}
	o, r, found, err := s.refundBy(refundKind, number)
	if err != nil {
		return answer{}, nil, err
	}
	if !found {
		return answer{}, refundErrors[refundAbsent], nil
	}
	return answer{status: http.StatusOK, body: newRefundObject(o, r, s.kit.Clock.Now())}, nil, nil
}

// refundObject is what asking for a refund and querying it answer (申请退款).
type refundObject struct {
	RefundID      string       `json:"refund_id"`
	OutRefundNo   string       `json:"out_refund_no"`
	TransactionID string       `json:"transaction_id"`
	OutTradeNo    string       `json:"out_trade_no"`
	Channel       string       `json:"channel"`
	Receiver      string       `json:"user_received_account"`
	SuccessTime   string       `json:"success_time,omitempty"`
	CreateTime    string       `json:"create_time"`
	Status        string       `json:"status"`
	FundsAccount  string       `json:"funds_account"`
	Amount        refundAmount `json:"amount"`
	Promotions    []struct{}   `json:"promotion_detail"`
}

type refundAmount struct {
	Total            int64      `json:"total"`
	Refund           int64      `json:"refund"`
	From             []struct{} `json:"from"`
	PayerTotal       int64      `json:"payer_total"`
	PayerRefund      int64      `json:"payer_refund"`
	SettlementRefund int64      `json:"settlement_refund"`
	SettlementTotal  int64      `json:"settlement_total"`
	DiscountRefund   int64      `json:"discount_refund"`
	Currency         string     `json:"currency"`
	RefundFee        int64      `json:"refund_fee"`
}

func newRefundObject(o order, r refund, now time.Time) refundObject {
	out := refundObject{
		RefundID: r.RefundID, OutRefundNo: r.OutRefundNo, TransactionID: o.TransactionID, OutTradeNo: o.OutTradeNo,
		Channel: "ORIGINAL", Receiver: refundReceiver, CreateTime: r.Created.In(beijing).Format(timeForm),
		Status: r.state(now), FundsAccount: r.Account, Promotions: []struct{}{},
		Amount: refundAmount{
			Total: o.Total, Refund: r.Amount, From: []struct{}{}, PayerTotal: o.Total, PayerRefund: r.Amount,
			SettlementRefund: r.Amount, SettlementTotal: o.Total, Currency: "CNY",
		},
	}
	if out.Status == refundSuccess {
		out.SuccessTime = r.Settles.In(beijing).Format(timeForm)
	}
	return out
}
