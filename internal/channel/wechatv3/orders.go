package wechatv3

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

const maxCodeURL = 512 // bytes (Native下单: code_url string(512))

// beijing is the zone the platform wants times in.
var beijing = time.FixedZone("", 8*60*60)

// What signed error codes mean, by call (错误码 of Native下单, 查询订单, 关闭订单; both spellings, see codes).
var (
	openCodes = codes{
		"ORDERPAID":          {kind: channel.AlreadyPaid},
		"OUTTRADENOUSED":     {kind: channel.AlreadyPaid}, // paid, or ordered otherwise: a query tells
		"ORDERCLOSED":        {kind: channel.AlreadyClosed},
		"PARAMERROR":         {kind: channel.Declined},
		"INVALIDREQUEST":     {kind: channel.Declined},
		"APPIDMCHIDNOTMATCH": {kind: channel.Declined},
		"MCHNOTEXISTS":       {kind: channel.Declined},
		"NOAUTH":             {kind: channel.Declined},
		"RULELIMIT":          {kind: channel.Declined},
		"ACCOUNTERROR":       {kind: channel.Declined},
		"RATELIMITEXCEEDED":  {kind: channel.Limited},
		"FREQUENCYLIMITED":   {kind: channel.Limited},
	}
	queryCodes = codes{
		"ORDERNOTEXIST":     {state: pay.Absent},
		"RATELIMITEXCEEDED": {kind: channel.Limited},
		"FREQUENCYLIMITED":  {kind: channel.Limited},
	}
	closeCodes = codes{
		"ORDERNOTEXIST":     {state: pay.Absent},
		"ORDERCLOSED":       {state: pay.Closed},
		"ORDERPAID":         {kind: channel.AlreadyPaid},
		"INVALIDREQUEST":    {kind: channel.AlreadyPaid}, // older pages say so of a paid order: a query tells
		"USERPAYING":        {kind: channel.TooEarly},
		"RATELIMITEXCEEDED": {kind: channel.Limited},
		"FREQUENCYLIMITED":  {kind: channel.Limited},
	}
)

// states maps trade_state (查询订单). What is not listed is Unknown; PAYERROR among it, because only code payments
// are documented to have it and nothing says that such an order cannot be paid again.
var states = map[string]pay.State{
	"SUCCESS":    pay.Paid,
	"REFUND":     pay.Paid, // paid, and some of it returned: how much, the refunds tell
	"NOTPAY":     pay.Unpaid,
	"USERPAYING": pay.Unpaid,
	"CLOSED":     pay.Closed,
	"REVOKED":    pay.Closed,
}

type amount struct {
	Total    pay.Fen `json:"total"`
	Currency string  `json:"currency"`
}

type nativeRequest struct {
	AppID       string `json:"appid"`
	MerchantID  string `json:"mchid"`
	Description string `json:"description"`
	OutTradeNo  string `json:"out_trade_no"`
	TimeExpire  string `json:"time_expire"`
	NotifyURL   string `json:"notify_url"`
	Amount      amount `json:"amount"`
}

// Open orders a code: POST /v3/pay/transactions/native.
func (c *client) Open(ctx context.Context, a pay.Attempt) (pay.Shape, error) {
	const op = "open"
	body, err := json.Marshal(nativeRequest{
		AppID: a.AppID, MerchantID: a.MerchantID, Description: description(a), OutTradeNo: a.OutTradeNo,
		TimeExpire: a.ExpiresAt.In(beijing).Format(time.RFC3339), NotifyURL: a.NotifyURL,
		Amount: amount{a.Amount, a.Currency},
	})
	if err != nil {
		return pay.Shape{}, &channel.Error{Kind: channel.Unknown, Op: op, Code: "request", Text: "the request could not be made", Cause: err}
	}
	text, _, err := c.ask(ctx, op, http.MethodPost, "/v3/pay/transactions/native", body, http.StatusOK, openCodes)
	if err != nil {
		return pay.Shape{}, err
	}
	var answer struct {
		CodeURL string `json:"code_url"`
	}
	if err := strict.Decode(text, &answer); err != nil {
		return pay.Shape{}, unreadable(op, "", err)
	}
	if answer.CodeURL == "" || len(answer.CodeURL) > maxCodeURL {
		return pay.Shape{}, unreadable(op, "", errors.New("code_url is empty or too long"))
	}
	until := c.env.Now().Add(codeLifetime)
	if a.ExpiresAt.Before(until) {
		until = a.ExpiresAt
	}
	return pay.Shape{Kind: pay.ShapeQR, Text: answer.CodeURL, Until: until}, nil
}

// Query asks for an order by our number: GET /v3/pay/transactions/out-trade-no/{out_trade_no}.
func (c *client) Query(ctx context.Context, a pay.Attempt) (pay.Observation, error) {
	const op = "query"
	target := "/v3/pay/transactions/out-trade-no/" + url.PathEscape(a.OutTradeNo) + "?mchid=" + c.env.Account.MerchantID
	text, state, err := c.ask(ctx, op, http.MethodGet, target, nil, http.StatusOK, queryCodes)
	if err != nil {
		return pay.Observation{}, err
	}
	if state != "" {
		return c.about(pay.FromQuery, a, state), nil
	}
	obs, err := c.transaction(pay.FromQuery, text)
	if err != nil {
		return pay.Observation{}, unreadable(op, "", err)
	}
	return obs, nil
}

// Close closes an order by our number: POST /v3/pay/transactions/out-trade-no/{out_trade_no}/close, answered by a
// signed 204 without a body.
func (c *client) Close(ctx context.Context, a pay.Attempt) (pay.Observation, error) {
	target := "/v3/pay/transactions/out-trade-no/" + url.PathEscape(a.OutTradeNo) + "/close"
	body := []byte(`{"mchid":"` + c.env.Account.MerchantID + `"}`)
	_, state, err := c.ask(ctx, "close", http.MethodPost, target, body, http.StatusNoContent, closeCodes)
	if err != nil {
		return pay.Observation{}, err
	}
	if state == "" {
		state = pay.Closed
	}
	return c.about(pay.FromClose, a, state), nil
}

// about is an answer that names nothing: what it is about follows from the question and from the key it was
// signed with.
func (c *client) about(source pay.Source, a pay.Attempt, state pay.State) pay.Observation {
	return pay.Observation{
		Source: source, Channel: name, Account: c.env.Account.ID, AppID: c.env.Account.AppID,
		MerchantID: c.env.Account.MerchantID, OutTradeNo: a.OutTradeNo, State: state,
	}
}

// transaction reads a transaction object, of a query's answer or of a notice. All it says of identity is taken from
// the text itself, an absent currency too. The amount is the order's total: payer_total is less when a coupon
// paid a part.
func (c *client) transaction(source pay.Source, text []byte) (pay.Observation, error) {
	var t struct {
		AppID         string `json:"appid"`
		MerchantID    string `json:"mchid"`
		OutTradeNo    string `json:"out_trade_no"`
		TransactionID string `json:"transaction_id"`
		TradeState    string `json:"trade_state"`
		SuccessTime   string `json:"success_time"`
		Amount        amount `json:"amount"`
	}
	if err := strict.Decode(text, &t); err != nil {
		return pay.Observation{}, err
	}
	obs := pay.Observation{
		Source: source, Channel: name, Account: c.env.Account.ID, AppID: t.AppID, MerchantID: t.MerchantID,
		OutTradeNo: t.OutTradeNo, State: pay.Unknown,
	}
	if state, ok := states[t.TradeState]; ok {
		obs.State = state
	}
	if obs.State != pay.Paid {
		return obs, nil
	}
	obs.Amount, obs.Currency, obs.TransactionID = t.Amount.Total, t.Amount.Currency, t.TransactionID
	obs.PaidAt = moment(t.SuccessTime)
	return obs, nil
}

// moment reads a time of the platform's; the zero time when it is none, because money counts without its time too.
func moment(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
