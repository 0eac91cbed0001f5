package wechatv3

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

const refundsPath = "/v3/refund/domestic/refunds"

// refundLimits are the platform's (申请退款, 注意事项: 一年内; 最多 50 次部分退款, 间隔 1 分钟).
var refundLimits = pay.RefundLimits{Most: 50, Gap: time.Minute, Window: 365 * 24 * time.Hour}

// What signed error codes mean (错误码 of 申请退款, 查询单笔退款; both spellings, see codes). SYSTEM_ERROR and
// SIGN_ERROR are Unknown: the same number again.
var (
	refundCodes = codes{
		"NOTENOUGH": {kind: channel.Short},
		// No permission, and no such merchant number: whoever owns the account mends that, and then the same refund goes out.
		"NOAUTH":       {kind: channel.Unable},
		"MCHNOTEXISTS": {kind: channel.Unable},
		// The payer's account is closed, and a request that can never be taken: more than is left, too many, another total.
		"USERACCOUNTABNORMAL": {kind: channel.Declined},
		"PARAMERROR":          {kind: channel.Declined},
		"INVALIDREQUEST":      {kind: channel.Declined},
		"RATELIMITEXCEEDED":   {kind: channel.Limited},
		"FREQUENCYLIMITED":    {kind: channel.Limited}, // says nothing of the refund, which may stand: ask
		// "No such paid order" contradicts what the platform said when it told of the payment, and it is known to say so
		// now and then for a while: never an end.
		"RESOURCENOTEXISTS": {kind: channel.Unknown},
	}
	refundQueryCodes = codes{
		"RESOURCENOTEXISTS": {state: pay.Absent},
		"REFUNDNOTEXISTS":   {state: pay.Absent},
		"RATELIMITEXCEEDED": {kind: channel.Limited},
		"FREQUENCYLIMITED":  {kind: channel.Limited},
	}
)

// refundStates maps status (申请退款, 查询单笔退款) and refund_status (退款结果回调通知). Another one tells nothing.
var refundStates = map[string]pay.RefundStatus{
	"SUCCESS":    pay.RefundSucceeded,
	"PROCESSING": pay.RefundProcessing,
	"CLOSED":     pay.RefundFailed,
	"ABNORMAL":   pay.RefundAbnormal,
}

type refundRequest struct {
	TransactionID string       `json:"transaction_id"`
	RefundNo      string       `json:"out_refund_no"`
	Reason        string       `json:"reason,omitempty"`
	NotifyURL     string       `json:"notify_url"`
	Amount        refundAmount `json:"amount"`
}

type refundAmount struct {
	Refund   pay.Fen `json:"refund"`
	Total    pay.Fen `json:"total"`
	Currency string  `json:"currency"`
}

// CanRefund is true: the key that signs requests is all it takes.
func (*client) CanRefund() bool { return true }

// Refund returns money: POST /v3/refund/domestic/refunds. It names the payment by the platform's own number, because by
// ours a paid order is sometimes "not there" for a while.
func (c *client) Refund(ctx context.Context, a pay.Attempt, r pay.Refund) (pay.Observation, error) {
	const op = "refund"
	if a.TransactionID == "" {
		return pay.Observation{}, fail(op, channel.Unable, "transaction_id", "the attempt has no transaction number of the platform's")
	}
	body, err := json.Marshal(refundRequest{
		TransactionID: a.TransactionID, RefundNo: r.OutRefundNo, Reason: carried(r.Reason, maxReason), NotifyURL: a.NotifyURL,
		Amount: refundAmount{r.Amount, a.Amount, a.Currency},
	})
	if err != nil {
		return pay.Observation{}, &channel.Error{Kind: channel.Unknown, Op: op, Code: "request", Text: "the request could not be made", Cause: err}
	}
	text, _, err := c.ask(ctx, op, http.MethodPost, refundsPath, body, http.StatusOK, refundCodes)
	if err != nil {
		return pay.Observation{}, err
	}
	return c.refunded(op, text, a, r)
}

// QueryRefund asks for a refund by our number: GET /v3/refund/domestic/refunds/{out_refund_no}.
func (c *client) QueryRefund(ctx context.Context, a pay.Attempt, r pay.Refund) (pay.Observation, error) {
	const op = "query_refund"
	target := refundsPath + "/" + url.PathEscape(r.OutRefundNo)
	text, state, err := c.ask(ctx, op, http.MethodGet, target, nil, http.StatusOK, refundQueryCodes)
	if err != nil {
		return pay.Observation{}, err
	}
	if state == pay.Absent {
		return c.aboutRefund(a, pay.RefundFact{OutRefundNo: r.OutRefundNo, Amount: r.Amount, Status: pay.RefundPending}), nil
	}
	return c.refunded(op, text, a, r)
}

// refunded reads a refund object about r of a. One that differs in anything from what was asked is no fact.
func (c *client) refunded(op string, text []byte, a pay.Attempt, r pay.Refund) (pay.Observation, error) {
	var t struct {
		RefundNo      string       `json:"out_refund_no"`
		TransactionID string       `json:"transaction_id"`
		OutTradeNo    string       `json:"out_trade_no"`
		Status        string       `json:"status"`
		SuccessTime   string       `json:"success_time"`
		Amount        refundAmount `json:"amount"`
	}
	if err := strict.Decode(text, &t); err != nil {
		return pay.Observation{}, unreadable(op, "", err)
	}
	status, known := refundStates[t.Status]
	other := ""
	switch {
	case t.RefundNo != r.OutRefundNo:
		other = "out_refund_no"
	case t.TransactionID != a.TransactionID:
		other = "transaction_id"
	case t.OutTradeNo != a.OutTradeNo:
		other = "out_trade_no"
	case t.Amount.Refund != r.Amount:
		other = "amount_refund"
	case t.Amount.Total != a.Amount:
		other = "amount_total"
	case t.Amount.Currency != a.Currency:
		other = "currency"
	case !known:
		return pay.Observation{}, fail(op, channel.Unknown, "status", "the platform's signed answer has a status that is not known: "+clean(t.Status))
	}
	if other != "" {
		return pay.Observation{}, fail(op, channel.Unknown, other, "the platform's signed answer is about another refund")
	}
	return c.aboutRefund(a, pay.RefundFact{
		OutRefundNo: t.RefundNo, Amount: t.Amount.Refund, Status: status, At: moment(t.SuccessTime),
	}), nil
}

// aboutRefund is an answer about one refund, which says nothing new of the payment.
func (c *client) aboutRefund(a pay.Attempt, fact pay.RefundFact) pay.Observation {
	obs := c.about(pay.FromRefund, a, pay.Unknown)
	obs.Refund = &fact
	return obs
}
