package wechatv2

import (
	"cmp"
	"context"
	"strconv"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

const maxCodeURL = 512 // bytes; the documentation has 64, real ones grow

// What signed err_codes mean, by call (错误码 of 统一下单, 查询订单, 关闭订单).
var (
	openCodes = codes{
		"ORDERPAID":             {kind: channel.AlreadyPaid},
		"OUT_TRADE_NO_USED":     {kind: channel.AlreadyPaid}, // paid, or ordered otherwise: a query tells
		"ORDERCLOSED":           {kind: channel.AlreadyClosed},
		"INVALID_REQUEST":       {kind: channel.Declined},
		"NOAUTH":                {kind: channel.Declined},
		"APPID_NOT_EXIST":       {kind: channel.Declined},
		"MCHID_NOT_EXIST":       {kind: channel.Declined},
		"APPID_MCHID_NOT_MATCH": {kind: channel.Declined},
		"LACK_PARAMS":           {kind: channel.Declined},
		"PARAM_ERROR":           {kind: channel.Declined},
		"NOT_UTF8":              {kind: channel.Declined},
		"XML_FORMAT_ERROR":      {kind: channel.Declined},
		"FREQUENCY_LIMITED":     {kind: channel.Limited},
	}
	queryCodes = codes{
		"ORDERNOTEXIST":     {state: pay.Absent},
		"FREQUENCY_LIMITED": {kind: channel.Limited},
	}
	closeCodes = codes{
		"ORDERNOTEXIST":     {state: pay.Absent},
		"ORDERCLOSED":       {state: pay.Closed},
		"ORDERPAID":         {kind: channel.AlreadyPaid},
		"TRADE_STATE_ERROR": {kind: channel.AlreadyPaid}, // some other state than the one to close: a query tells
		"FREQUENCY_LIMITED": {kind: channel.Limited},
	}
)

// states maps trade_state (查询订单). What is not listed is Unknown; PAYERROR among it, because nothing says that such
// an order cannot be paid again.
var states = map[string]pay.State{
	"SUCCESS":    pay.Paid,
	"REFUND":     pay.Paid, // paid, and some of it returned: how much, the refunds tell
	"NOTPAY":     pay.Unpaid,
	"USERPAYING": pay.Unpaid,
	"CLOSED":     pay.Closed,
	"REVOKED":    pay.Closed,
}

// Open orders a code: POST /pay/unifiedorder.
func (c *client) Open(ctx context.Context, a pay.Attempt) (pay.Shape, error) {
	const op = "open"
	fields, _, err := c.ask(ctx, op, "/pay/unifiedorder", a, strict.Form{
		{Name: "body", Value: body(a)},
		{Name: "fee_type", Value: a.Currency},
		{Name: "notify_url", Value: a.NotifyURL},
		{Name: "product_id", Value: a.OutTradeNo},
		{Name: "spbill_create_ip", Value: clientIP(a)},
		{Name: "time_expire", Value: a.ExpiresAt.In(beijing).Format(timeLayout)},
		{Name: "time_start", Value: a.CreatedAt.In(beijing).Format(timeLayout)},
		{Name: "total_fee", Value: strconv.FormatInt(int64(a.Amount), 10)},
		{Name: "trade_type", Value: "NATIVE"},
	}, openCodes)
	if err != nil {
		return pay.Shape{}, err
	}
	code := fields.Get("code_url")
	switch {
	case !c.ours(fields):
		return pay.Shape{}, strange(op)
	case code == "" || len(code) > maxCodeURL:
		return pay.Shape{}, unreadable(op, "code_url is empty or too long")
	}
	until := c.env.Now().Add(codeLifetime)
	if a.ExpiresAt.Before(until) {
		until = a.ExpiresAt
	}
	return pay.Shape{Kind: pay.ShapeQR, Text: code, Until: until}, nil
}

// Query asks for an order by our number: POST /pay/orderquery.
func (c *client) Query(ctx context.Context, a pay.Attempt) (pay.Observation, error) {
	const op = "query"
	fields, state, err := c.ask(ctx, op, "/pay/orderquery", a, nil, queryCodes)
	if err != nil {
		return pay.Observation{}, err
	}
	if state != "" {
		return c.known(pay.FromQuery, a, state), nil
	}
	state, known := states[fields.Get("trade_state")]
	if !known {
		state = pay.Unknown
	}
	obs, ok := c.transaction(pay.FromQuery, fields, a.Variant, state)
	if !ok {
		return pay.Observation{}, unreadable(op, "total_fee is no amount")
	}
	return obs, nil
}

// Close closes an order by our number: POST /pay/closeorder.
func (c *client) Close(ctx context.Context, a pay.Attempt) (pay.Observation, error) {
	const op = "close"
	fields, state, err := c.ask(ctx, op, "/pay/closeorder", a, nil, closeCodes)
	switch {
	case err != nil:
		return pay.Observation{}, err
	case state != "":
		return c.known(pay.FromClose, a, state), nil
	case !c.ours(fields):
		return pay.Observation{}, strange(op)
	}
	return c.known(pay.FromClose, a, pay.Closed), nil
}

// known is an answer that does not name its order: what it is about follows from the question and from the key it was
// signed with.
func (c *client) known(source pay.Source, a pay.Attempt, state pay.State) pay.Observation {
	return pay.Observation{
		Source: source, Channel: name, Account: c.env.Account.ID, AppID: c.env.Account.AppID,
		MerchantID: c.env.Account.MerchantID, Variant: a.Variant, OutTradeNo: a.OutTradeNo, State: state,
	}
}

// transaction reads an order in a state, of a query's answer or of a notice. All it says of identity is taken from the
// message. The amount is the order's total_fee: cash_fee is less when a coupon paid a part. An absent fee_type is CNY
// (查询订单, fee_type: 默认人民币). It reports false for an amount outside of its grammar.
func (c *client) transaction(source pay.Source, fields strict.Form, variant string, state pay.State) (pay.Observation, bool) {
	obs := pay.Observation{
		Source: source, Channel: name, Account: c.env.Account.ID, AppID: withSub(fields, "appid", "sub_appid"),
		MerchantID: withSub(fields, "mch_id", "sub_mch_id"), Variant: variant, OutTradeNo: fields.Get("out_trade_no"), State: state,
	}
	if state != pay.Paid {
		return obs, true
	}
	amount, ok := fen(fields.Get("total_fee"))
	if !ok {
		return pay.Observation{}, false
	}
	obs.Amount, obs.Currency, obs.TransactionID = amount, cmp.Or(fields.Get("fee_type"), pay.CNY), fields.Get("transaction_id")
	obs.PaidAt = moment(timeLayout, fields.Get("time_end"))
	return obs, true
}

// withSub names a partner's merchant or app too: money that went to it is not this account's.
func withSub(fields strict.Form, main, sub string) string {
	id := fields.Get(main)
	if partner := fields.Get(sub); partner != "" {
		id += "/" + partner
	}
	return id
}
