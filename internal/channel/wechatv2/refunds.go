package wechatv2

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

// refundLimits are the platform's (申请退款, 注意: 一年内; 最多 50 次部分退款, 间隔 1 分钟).
var refundLimits = pay.RefundLimits{Most: 50, Gap: time.Minute, Window: 365 * 24 * time.Hour}

// What signed err_codes mean (错误码 of 申请退款, 查询退款). What is not listed is Unknown: the same number again.
var (
	refundCodes = codes{
		"NOTENOUGH": {kind: channel.Short},
		// No such merchant number or app: whoever owns the account mends that, and then the same refund goes out.
		"APPID_NOT_EXIST": {kind: channel.Unable},
		"MCHID_NOT_EXIST": {kind: channel.Unable},
		// Too old, the payer's account is closed, or a request that can never be taken: more than is left, too many.
		"TRADE_OVERDUE":         {kind: channel.Declined},
		"USER_ACCOUNT_ABNORMAL": {kind: channel.Declined},
		"ERROR":                 {kind: channel.Declined},
		"PARAM_ERROR":           {kind: channel.Declined},
		"INVALID_REQ_TOO_MUCH":  {kind: channel.Limited}, // of the account's: it is shut out for a minute
		"FREQUENCY_LIMITED":     {kind: channel.Limited},
		// "No such order" contradicts what the platform said when it told of the payment: never an end.
		"INVALID_TRANSACTIONID": {kind: channel.Unknown},
		"ORDERNOTEXIST":         {kind: channel.Unknown},
		"BIZERR_NEED_RETRY":     {kind: channel.Unknown},
		"SYSTEMERROR":           {kind: channel.Unknown},
	}
	refundQueryCodes = codes{
		"REFUNDNOTEXIST":    {state: pay.Absent},
		"FREQUENCY_LIMITED": {kind: channel.Limited},
	}
)

// refundStates maps refund_status_$n (查询退款).
var refundStates = map[string]pay.RefundStatus{
	"SUCCESS":     pay.RefundSucceeded,
	"PROCESSING":  pay.RefundProcessing,
	"REFUNDCLOSE": pay.RefundFailed,
	"CHANGE":      pay.RefundAbnormal, // the bank did not take it: a person must act at the merchant platform
}

// CanRefund reports whether there is a merchant API certificate that counts today, and a client that shows it.
func (c *client) CanRefund() bool {
	return c.proof != nil && c.secure != "" && current(c.cert, c.env.Now())
}

// Refund returns money: POST /secapi/pay/refund, to which the merchant API certificate is shown. An answer without an
// error means that it was accepted.
func (c *client) Refund(ctx context.Context, a pay.Attempt, r pay.Refund) (pay.Observation, error) {
	const op = "refund"
	switch {
	case !c.CanRefund():
		return pay.Observation{}, fail(op, channel.Unable, "no_certificate", "refunds cannot be sent without the merchant API certificate")
	case a.TransactionID == "":
		return pay.Observation{}, fail(op, channel.Unable, "transaction_id", "the attempt has no transaction number of the platform's")
	}
	fields := strict.Form{
		{Name: "notify_url", Value: a.NotifyURL},
		{Name: "out_refund_no", Value: r.OutRefundNo},
		{Name: "refund_fee", Value: strconv.FormatInt(int64(r.Amount), 10)},
		{Name: "total_fee", Value: strconv.FormatInt(int64(a.Amount), 10)},
		{Name: "transaction_id", Value: a.TransactionID},
	}
	if reason := carried(r.Reason, maxDesc); reason != "" {
		fields = append(fields, strict.Pair{Name: "refund_desc", Value: reason})
	}
	answer, _, err := c.send(ctx, a, question{
		op: op, path: "/secapi/pay/refund", number: r.OutRefundNo, fields: fields, table: refundCodes, proof: c.proof,
	})
	if err != nil {
		return pay.Observation{}, err
	}
	if err := c.fits(op, answer, a, r, ""); err != nil {
		return pay.Observation{}, err
	}
	return c.aboutRefund(a, r, pay.RefundProcessing, time.Time{}), nil
}

// QueryRefund asks for a refund by our number: POST /pay/refundquery. The answer lists that one, as number 0.
func (c *client) QueryRefund(ctx context.Context, a pay.Attempt, r pay.Refund) (pay.Observation, error) {
	const op = "query_refund"
	answer, state, err := c.send(ctx, a, question{
		op: op, path: "/pay/refundquery", number: r.OutRefundNo, table: refundQueryCodes,
		fields: strict.Form{{Name: "out_refund_no", Value: r.OutRefundNo}},
	})
	switch {
	case err != nil:
		return pay.Observation{}, err
	case state == pay.Absent:
		return c.aboutRefund(a, r, pay.RefundPending, time.Time{}), nil
	}
	if err := c.fits(op, answer, a, r, "_0"); err != nil {
		return pay.Observation{}, err
	}
	status, known := refundStates[answer.Get("refund_status_0")]
	if !known {
		return pay.Observation{}, fail(op, channel.Unknown, "status", "the platform's signed answer has a status that is not known: "+clean(answer.Get("refund_status_0")))
	}
	return c.aboutRefund(a, r, status, moment(refundLayout, answer.Get("refund_success_time_0"))), nil
}

// fits compares an answer with what was asked: one that differs in anything is no fact. suffix ends the names of what is of
// the refund itself.
func (c *client) fits(op string, answer strict.Form, a pay.Attempt, r pay.Refund, suffix string) error {
	refunded, ok := fen(answer.Get("refund_fee" + suffix))
	total, okTotal := fen(answer.Get("total_fee"))
	other := ""
	switch {
	case !c.ours(answer):
		return strange(op)
	case answer.Get("out_refund_no"+suffix) != r.OutRefundNo:
		other = "out_refund_no"
	case answer.Get("transaction_id") != a.TransactionID:
		other = "transaction_id"
	case answer.Get("out_trade_no") != a.OutTradeNo:
		other = "out_trade_no"
	case !ok || refunded != r.Amount:
		other = "refund_fee"
	case !okTotal || total != a.Amount:
		other = "total_fee"
	case cmp.Or(answer.Get("fee_type"), pay.CNY) != a.Currency:
		other = "fee_type"
	default:
		return nil
	}
	return fail(op, channel.Unknown, other, "the platform's signed answer is about another refund")
}

// aboutRefund is an answer about r, which says nothing new of the payment.
func (c *client) aboutRefund(a pay.Attempt, r pay.Refund, status pay.RefundStatus, at time.Time) pay.Observation {
	obs := c.known(pay.FromRefund, a, pay.Unknown)
	obs.Refund = &pay.RefundFact{OutRefundNo: r.OutRefundNo, Amount: r.Amount, Status: status, At: at}
	return obs
}
