package alipay

import (
	"context"
	"strings"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
)

// states is what each trade_status says (opendocs, alipay.trade.query). Not listed = Unknown. TRADE_CLOSED is two things: never paid,
// or paid and wholly refunded; see observe.
var states = map[string]pay.State{
	"WAIT_BUYER_PAY": pay.Unpaid,
	"TRADE_SUCCESS":  pay.Paid,
	"TRADE_FINISHED": pay.Paid,
	"TRADE_CLOSED":   pay.Closed,
}

// outcome is what a signed failure means: a state, or an error's kind.
type outcome struct {
	state pay.State
	kind  channel.Kind
}

// failures are the signed business failures (code 40004) by the last part of their sub_code: the documents' own tables
// spell the prefix ACQ, AQC or not at all. Not listed = Unknown.
var failures = map[string]map[string]outcome{
	"query": {
		"TRADE_NOT_EXIST": {state: pay.Absent},
	},
	"close": {
		"TRADE_NOT_EXIST": {state: pay.Absent},
		"TRADE_HAS_CLOSE": {state: pay.Closed},
		// The state does not allow a close: it is paid, or closed already. The query tells which.
		"TRADE_STATUS_ERROR":          {kind: channel.AlreadyPaid},
		"REASON_TRADE_STATUS_INVALID": {kind: channel.AlreadyPaid},
		"REASON_ILLEGAL_STATUS":       {kind: channel.AlreadyPaid},
		"TRADE_HAS_SUCCESS":           {kind: channel.AlreadyPaid},
		"TRADE_HAS_FINISHED":          {kind: channel.AlreadyPaid},
	},
}

// limits are the sub_codes, without prefix, of code 40005.
var limits = map[string]bool{"app-call-limited": true, "method-call-limited": true}

const (
	limitedText   = "too many calls of this app or method"
	uncertainText = "the platform did not carry it out; the outcome is not known"
)

// Query asks alipay.trade.query. An answer names neither app nor seller: these are filled from the account whose key
// verified it and whose request it answers.
func (c *client) Query(ctx context.Context, a pay.Attempt) (pay.Observation, error) {
	const op = "query"
	r, err := c.call(ctx, op, "alipay.trade.query", number{a.OutTradeNo})
	if err != nil {
		return pay.Observation{}, err
	}
	if r.OutTradeNo != a.OutTradeNo { // failures repeat it too
		return pay.Observation{}, wrongOrder(op)
	}
	if r.Code != "10000" {
		return c.failure(op, pay.FromQuery, a, r)
	}
	t := trade{
		number: r.OutTradeNo, transaction: r.TradeNo, status: r.TradeStatus, currency: r.TransCurrency,
		total: r.TotalAmount, refunded: r.RefundFee, paidAt: r.SendPayDate,
	}
	t.paid = r.SendPayDate != "" || moved(r.ReceiptAmount) || moved(r.BuyerPayAmount) || moved(r.RefundFee)
	o, problem := c.observe(pay.FromQuery, t)
	if problem != "" {
		return pay.Observation{}, fail(op, channel.Unknown, problem, "the signed answer holds a value outside of its grammar")
	}
	return o, nil
}

// Close asks alipay.trade.close. Closing an order that nobody opened leaves no mark at the platform: State Absent says
// no more than that it does not exist yet, and only its time_expire ends it.
func (c *client) Close(ctx context.Context, a pay.Attempt) (pay.Observation, error) {
	const op = "close"
	r, err := c.call(ctx, op, "alipay.trade.close", number{a.OutTradeNo})
	if err != nil {
		return pay.Observation{}, err
	}
	if r.Code != "10000" {
		// A failed close is not documented to repeat the number; it must not name another one.
		if r.OutTradeNo != "" && r.OutTradeNo != a.OutTradeNo {
			return pay.Observation{}, wrongOrder(op)
		}
		return c.failure(op, pay.FromClose, a, r)
	}
	if r.OutTradeNo != a.OutTradeNo {
		return pay.Observation{}, wrongOrder(op)
	}
	return c.about(pay.FromClose, a.OutTradeNo, pay.Closed), nil
}

func wrongOrder(op string) error {
	return fail(op, channel.Unknown, "other_order", "the signed answer is about another order")
}

// failure reads a signed answer that is no success.
func (c *client) failure(op string, source pay.Source, a pay.Attempt, r reply) (pay.Observation, error) {
	reason, code := r.reason(), r.word()
	if r.Code == "40005" || limits[reason] {
		return pay.Observation{}, fail(op, channel.Limited, code, limitedText)
	}
	got, listed := outcome{}, false
	if r.Code == "40004" {
		got, listed = failures[op][reason]
	}
	switch {
	case !listed:
		return pay.Observation{}, fail(op, channel.Unknown, code, uncertainText)
	case got.kind != "":
		return pay.Observation{}, fail(op, got.kind, code, "the order's state does not allow it")
	}
	return c.about(source, a.OutTradeNo, got.state), nil
}

// about is an observation of one of our own numbers by the account that asked.
func (c *client) about(source pay.Source, outTradeNo string, state pay.State) pay.Observation {
	return pay.Observation{
		Source: source, Channel: name, Account: c.env.Account.ID, AppID: c.appID,
		MerchantID: c.env.Account.MerchantID, OutTradeNo: outTradeNo, State: state,
	}
}

// reason is the last part of the sub_code.
func (r reply) reason() string { return r.SubCode[strings.LastIndexByte(r.SubCode, '.')+1:] }

// word is the sub_code, or "failure" when it is not a plain word.
func (r reply) word() string {
	if r.SubCode == "" || len(r.SubCode) > maxWord || !only(r.SubCode, isWordByte) {
		return "failure"
	}
	return r.SubCode
}

// trade is what notices and query answers have in common, in the platform's words.
type trade struct {
	number, transaction     string
	status, currency        string
	total, refunded, paidAt string
	paid                    bool // it carries what only a payment has
}

// observe turns a verified trade into an observation. problem names the field that broke its grammar.
func (c *client) observe(source pay.Source, t trade) (o pay.Observation, problem string) {
	if !isNumber(t.number) {
		return o, "out_trade_no"
	}
	state, listed := states[t.status]
	if !listed {
		state = pay.Unknown
	}
	o = c.about(source, t.number, state)
	whole := state == pay.Closed && t.paid // closed by refunding all of it
	if state != pay.Paid && !whole {
		return o, ""
	}
	total, ok := parseYuan(t.total)
	if !ok {
		return pay.Observation{}, "total_amount"
	}
	if t.transaction != "" && !isNumber(t.transaction) {
		return pay.Observation{}, "trade_no"
	}
	o.State, o.Amount, o.TransactionID, o.PaidAt = pay.Paid, total, t.transaction, parseTime(t.paidAt)
	// Trades are in yuan and name no currency, unless one was ordered with trans_currency, which we never send.
	o.Currency = pay.CNY
	if t.currency != "" {
		o.Currency = t.currency
	}
	if whole {
		o.Refunded = total
	}
	if t.refunded != "" {
		if o.Refunded, ok = parseYuan(t.refunded); !ok {
			return pay.Observation{}, "refund_fee"
		}
	}
	return o, ""
}

// moved reports whether an amount is there and not zero. What cannot be read counts: observe refuses it then.
func moved(amount string) bool {
	fen, ok := parseYuan(amount)
	return amount != "" && (!ok || fen > 0)
}

func isNumber(s string) bool { return s != "" && len(s) <= maxWord && only(s, isNumberByte) }
