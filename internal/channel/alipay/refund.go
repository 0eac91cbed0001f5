package alipay

import (
	"context"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
)

// The platform's rules about refunds of one trade (opendocs, alipay.trade.refund). No number of them is documented. A
// shorter window may stand in a merchant's contract: then the platform says TRADE_HAS_FINISHED.
var refundLimits = pay.RefundLimits{Gap: 3 * time.Second, Window: 365 * 24 * time.Hour}

// refundSettles is how long after a refund was sent the platform may not know of it yet (opendocs,
// alipay.trade.fastpay.refund.query): a "not there" before that says nothing.
const refundSettles = 10 * time.Second

// refundOrder is the biz_content of a refund, documented fields only: the platform warns that others may refund twice.
// out_request_no is never left out, because the platform would take out_trade_no in its place, for any refund.
type refundOrder struct {
	TradeNo      string `json:"trade_no"`
	OutTradeNo   string `json:"out_trade_no"`
	RefundAmount string `json:"refund_amount"`
	OutRequestNo string `json:"out_request_no"`
	RefundReason string `json:"refund_reason,omitempty"`
}

// refundNumber is the biz_content of a refund's query. The time is told only to whom asks for it.
type refundNumber struct {
	TradeNo      string   `json:"trade_no"`
	OutRequestNo string   `json:"out_request_no"`
	QueryOptions []string `json:"query_options"`
}

// refusals are the signed business failures of a refund (code 40004) by the last part of their sub_code, as in failures.
// Not listed = Unknown: it is asked about, and sent again under its number when it is not there. TRADE_NOT_EXIST is one of
// these: it contradicts what the platform said when it told of the payment, and is never an end.
var refusals = map[string]channel.Kind{
	"SELLER_BALANCE_NOT_ENOUGH":             channel.Short,
	"TXN_RESULT_ACCOUNT_BALANCE_NOT_ENOUGH": channel.Short,

	"INVALID_PARAMETER":                     channel.Declined,
	"TRADE_HAS_FINISHED":                    channel.Declined, // the window is over
	"TRADE_HAS_CLOSE":                       channel.Declined,
	"TRADE_STATUS_ERROR":                    channel.Declined,
	"REASON_TRADE_STATUS_INVALID":           channel.Declined,
	"REASON_TRADE_BEEN_FREEZEN":             channel.Declined,
	"REASON_TRADE_REFUND_FEE_ERR":           channel.Declined, // more than what is left
	"REFUND_FEE_ERROR":                      channel.Declined,
	"REFUND_AMT_RESTRICTION":                channel.Declined,
	"REFUND_AMT_NOT_EQUAL_TOTAL":            channel.Declined,
	"DISCORDANT_REPEAT_REQUEST":             channel.Declined, // another amount under this number
	"TRADE_NOT_ALLOW_REFUND":                channel.Declined,
	"NOT_ALLOW_PARTIAL_REFUND":              channel.Declined,
	"ONLINE_TRADE_VOUCHER_NOT_ALLOW_REFUND": channel.Declined,
	"BUYER_NOT_EXIST":                       channel.Declined,
	"BUYER_ENABLE_STATUS_FORBID":            channel.Declined,
	"BUYER_ERROR":                           channel.Declined,
	"CURRENCY_NOT_SUPPORT":                  channel.Declined,
	"USER_NOT_MATCH_ERR":                    channel.Declined,
}

// CanRefund holds for every account: a refund needs nothing beyond the keys.
func (*client) CanRefund() bool { return true }

// Refund asks alipay.trade.refund. Code 10000 says that the request was processed, not that money moved: only
// fund_change Y does. A repeat of a refund that was made is answered with N, as is one that was not: the query tells.
func (c *client) Refund(ctx context.Context, a pay.Attempt, r pay.Refund) (pay.Observation, error) {
	const op = "refund"
	if c.mayAsk(op) != nil {
		return pay.Observation{}, fail(op, channel.Unable, "cert_expired", "the app's certificate in ALIPAY_APP_CERT is not valid now")
	}
	got, err := c.call(ctx, op, "alipay.trade.refund", refundOrder{
		TradeNo: a.TransactionID, OutTradeNo: a.OutTradeNo, RefundAmount: yuan(r.Amount), OutRequestNo: r.OutRefundNo,
		RefundReason: wireSubject(r.Reason, ""),
	})
	switch {
	case err != nil:
		return pay.Observation{}, err
	case got.isElsewhere(a):
		return pay.Observation{}, wrongOrder(op)
	case got.Code != "10000":
		return pay.Observation{}, got.refusal(op)
	case got.OutTradeNo == "" || got.TradeNo == "":
		return pay.Observation{}, wrongOrder(op)
	case got.FundChange != "Y":
		return pay.Observation{}, fail(op, channel.Unknown, "no_fund_change", "the platform took the request and says of no money that it moved by it")
	}
	// refund_fee is all that went back of the trade so far, not this refund.
	sum, ok := parseYuan(got.RefundFee)
	if !ok || sum < r.Amount || sum > a.Amount {
		return pay.Observation{}, fail(op, channel.Unknown, "refund_fee", "the sum of what went back does not fit the refund")
	}
	o := c.about(pay.FromRefund, a.OutTradeNo, pay.Unknown)
	o.Refunded = sum
	o.Refund = &pay.RefundFact{
		OutRefundNo: r.OutRefundNo, Amount: r.Amount, Status: pay.RefundSucceeded, At: parseTime(got.GmtRefundPay),
	}
	return o, nil
}

// QueryRefund asks alipay.trade.fastpay.refund.query. A refund that is not there, or was not made, is answered with code
// 10000 and nothing about it.
func (c *client) QueryRefund(ctx context.Context, a pay.Attempt, r pay.Refund) (pay.Observation, error) {
	const op = "query_refund"
	got, err := c.call(ctx, op, "alipay.trade.fastpay.refund.query", refundNumber{
		TradeNo: a.TransactionID, OutRequestNo: r.OutRefundNo, QueryOptions: []string{"gmt_refund_pay"},
	})
	switch {
	case err != nil:
		return pay.Observation{}, err
	case got.isElsewhere(a):
		return pay.Observation{}, wrongOrder(op)
	case got.OutRequestNo != "" && got.OutRequestNo != r.OutRefundNo:
		return pay.Observation{}, fail(op, channel.Unknown, "other_refund", "the signed answer is about another refund")
	case got.Code == "40004" && got.reason() == "TRADE_NOT_EXIST", got.Code == "10000" && got.RefundStatus == "" && got.RefundAmount == "":
		if c.env.Now().Sub(r.SentAt) < refundSettles {
			return pay.Observation{}, fail(op, channel.Unknown, "too_soon", "the platform may not know yet of a refund sent so shortly before")
		}
		o := c.about(pay.FromRefund, a.OutTradeNo, pay.Unknown)
		o.Refund = &pay.RefundFact{OutRefundNo: r.OutRefundNo, Amount: r.Amount, Status: pay.RefundPending}
		return o, nil
	case got.Code != "10000":
		if err := got.refusal(op); err.Kind == channel.Limited {
			return pay.Observation{}, err
		}
		return pay.Observation{}, fail(op, channel.Unknown, got.word(), "the platform did not tell what became of the refund")
	case got.RefundStatus != "REFUND_SUCCESS":
		return pay.Observation{}, fail(op, channel.Unknown, "refund_status", "the platform knows the refund and does not say that it was made")
	case got.OutTradeNo == "" || got.TradeNo == "" || got.OutRequestNo == "":
		return pay.Observation{}, fail(op, channel.Unknown, "other_refund", "the signed answer does not say which refund was made")
	}
	total, ok := parseYuan(got.TotalAmount)
	amount, told := parseYuan(got.RefundAmount)
	switch {
	case !ok || total != a.Amount:
		return pay.Observation{}, fail(op, channel.Unknown, "total_amount", "the signed answer is about a trade of another amount")
	case !told || amount == 0:
		return pay.Observation{}, fail(op, channel.Unknown, "refund_amount", "the signed answer holds a value outside of its grammar")
	}
	o := c.about(pay.FromRefund, a.OutTradeNo, pay.Unknown)
	o.Refund = &pay.RefundFact{OutRefundNo: r.OutRefundNo, Amount: amount, Status: pay.RefundSucceeded, At: parseTime(got.GmtRefundPay)}
	return o, nil
}

// isElsewhere reports whether an answer names another order or trade than a; failures may name none.
func (r reply) isElsewhere(a pay.Attempt) bool {
	return r.OutTradeNo != "" && r.OutTradeNo != a.OutTradeNo || r.TradeNo != "" && r.TradeNo != a.TransactionID
}

// refusal is what a signed answer that is no success means for a refund.
func (r reply) refusal(op string) *channel.Error {
	switch {
	case r.Code == "40005" || limits[r.reason()]:
		return fail(op, channel.Limited, r.word(), limitedText)
	case r.Code == "40006" || r.Code == "20001":
		return fail(op, channel.Unable, r.word(), "the app may not refund: sign the product, or grant the app the interface, at the console")
	}
	kind, listed := refusals[r.reason()]
	switch {
	case r.Code != "40004" || !listed:
		return fail(op, channel.Unknown, r.word(), uncertainText)
	case kind == channel.Short:
		return fail(op, kind, r.word(), "the merchant's balance does not cover the refund")
	}
	return fail(op, kind, r.word(), "the platform refused the refund")
}
