package wechatsim

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"piaohao/internal/sim/simkit"
)

const (
	v2RefundPath      = "/secapi/pay/refund"
	v2RefundQueryPath = "/pay/refundquery"
	maxV2Rows         = 10 // refunds of one answer (查询退款, offset)
)

var v2RefundFields = []v2Field{
	{name: "nonce_str", required: true, max: 32},
	{name: "transaction_id", max: 32},
	{name: "out_trade_no", max: 32},
	{name: "out_refund_no", required: true, max: 64, check: checkOutRefundNo},
	{name: "total_fee", required: true, max: 18, check: like(`^[1-9][0-9]*$`, "应为大于0的整数，单位为分")},
	{name: "refund_fee", required: true, max: 18, check: like(`^[1-9][0-9]*$`, "应为大于0的整数，单位为分")},
	{name: "refund_fee_type", max: 8, check: like(`^CNY$`, "境内商户号仅支持人民币CNY")},
	{name: "refund_desc", max: 80},
	{name: "refund_account", max: 30, check: oneOf("REFUND_SOURCE_UNSETTLED_FUNDS", "REFUND_SOURCE_RECHARGE_FUNDS")},
	{name: "notify_url", max: 256, check: checkNotifyURL},
}

var v2RefundQueryFields = []v2Field{
	{name: "nonce_str", required: true, max: 32},
	{name: "transaction_id", max: 32},
	{name: "out_trade_no", max: 32},
	{name: "out_refund_no", max: 64},
	{name: "refund_id", max: 32},
	{name: "offset", max: 4, check: like(`^(0|[1-9][0-9]*)$`, "应为不小于0的整数")},
}

// v2RefundTroubles are APIv2's words (申请退款, 错误码). ERROR is what has none of its own.
var v2RefundTroubles = map[trouble]*v2Refusal{
	orderAbsent:   {"ORDERNOTEXIST", "订单不存在"},
	orderUnpaid:   {"ORDERNOTEXIST", "订单不存在或未支付"},
	totalDiffers:  {"ERROR", "订单金额与原订单不一致，请核实后再试"},
	refundDiffers: {"ERROR", "订单金额或退款金额与之前请求不一致，请核实后再试"},
	refundTooMuch: {"ERROR", "退款金额超过可退金额"},
	refundTooMany: {"ERROR", "一笔订单最多支持50次部分退款"},
	refundTooLate: {"TRADE_OVERDUE", "订单已经超过退款期限"},
	refundTooSoon: v2TooOften,
	balanceShort:  {"NOTENOUGH", "基本账户余额不足，请充值后重新发起"},
}

var (
	v2NoTransaction = &v2Refusal{"INVALID_TRANSACTIONID", "无效transaction_id"}
	v2NoRefund      = &v2Refusal{"REFUNDNOTEXIST", "退款订单查询失败"}
)

// v2Refund is 申请退款. It is served only to who shows the merchant's certificate.
func (s *Sim) v2Refund(f fields) ([]element, *v2Refusal, error) {
	if refused := f.check(v2RefundFields); refused != nil {
		return nil, refused, nil
	}
	if f["transaction_id"] == "" && f["out_trade_no"] == "" {
		return nil, v2Lack("transaction_id或out_trade_no"), nil
	}
	ask, err := newV2RefundAsk(f)
	if err != nil {
		return nil, nil, err
	}
	o, r, why, err := s.askRefund(ask)
	if why == orderAbsent && f["transaction_id"] != "" && err == nil {
		return nil, v2NoTransaction, nil
	}
	if refused := v2RefundTroubles[why]; refused != nil || err != nil {
		return nil, refused, err
	}
	amount, total := strconv.FormatInt(r.Amount, 10), strconv.FormatInt(o.Total, 10)
	return []element{
		{"transaction_id", o.TransactionID},
		{"out_trade_no", o.OutTradeNo},
		{"out_refund_no", r.OutRefundNo},
		{"refund_id", r.RefundID},
		{"refund_channel", ""},
		{"refund_fee", amount},
		{"settlement_refund_fee", amount},
		{"total_fee", total},
		{"settlement_total_fee", total},
		{"fee_type", "CNY"},
		{"cash_fee", total},
		{"cash_refund_fee", amount},
		{"coupon_refund_fee", "0"},
		{"coupon_refund_count", "0"},
	}, nil, nil
}

// newV2RefundAsk reads a checked request.
func newV2RefundAsk(f fields) (refundAsk, error) {
	same := maps.Clone(f) // without what differs in each repetition
	delete(same, "nonce_str")
	delete(same, "sign_type")
	ask := refundAsk{
		transactionID: f["transaction_id"], outTradeNo: f["out_trade_no"],
		refund: refund{
			OutRefundNo: f["out_refund_no"], Request: "v2 " + same.canonical(), By: simkit.ByAPI, V2: true,
			NotifyURL: f["notify_url"], Account: accountUnsettled,
		},
	}
	if f["refund_account"] == "REFUND_SOURCE_RECHARGE_FUNDS" {
		ask.Account = accountAvailable
	}
	var err error
	for name, into := range map[string]*int64{"total_fee": &ask.total, "refund_fee": &ask.amount} {
		if *into, err = strconv.ParseInt(f[name], 10, 64); err != nil {
			return ask, fmt.Errorf("wechatsim: %s: %w", name, err)
		}
	}
	return ask, nil
}

// v2RefundQuery is 查询退款: of one refund by its own numbers (refund_id wins over out_refund_no), or of all of an order
// (transaction_id wins over out_trade_no), ten at once from offset on.
func (s *Sim) v2RefundQuery(f fields) ([]element, *v2Refusal, error) {
	if refused := f.check(v2RefundQueryFields); refused != nil {
		return nil, refused, nil
	}
	o, rows, given, err := s.v2FindRefunds(f)
	switch {
	case err != nil:
		return nil, nil, err
	case !given:
		return nil, v2Lack("transaction_id、out_trade_no、out_refund_no或refund_id"), nil
	}
	total := len(rows)
	if text := f["offset"]; text != "" {
		offset, err := strconv.Atoi(text)
		if err != nil {
			return nil, nil, err
		}
		rows = rows[min(offset, len(rows)):]
	}
	rows = rows[:min(len(rows), maxV2Rows)]
	if len(rows) == 0 {
		return nil, v2NoRefund, nil
	}
	fee := strconv.FormatInt(o.Total, 10)
	answer := []element{
		{"transaction_id", o.TransactionID},
		{"out_trade_no", o.OutTradeNo},
		{"total_fee", fee},
		{"settlement_total_fee", fee},
		{"fee_type", "CNY"},
		{"cash_fee", fee},
	}
	if f["offset"] != "" { // only who pages is told how many there are (查询退款, total_refund_count)
		answer = append(answer, element{"total_refund_count", strconv.Itoa(total)})
	}
	answer = append(answer, element{"refund_count", strconv.Itoa(len(rows))})
	now := s.kit.Clock.Now()
	for n, r := range rows {
		answer = append(answer, r.v2Row(strconv.Itoa(n), now)...)
	}
	return answer, nil, nil
}

// v2FindRefunds finds what is asked about; given is false where the request names nothing.
func (s *Sim) v2FindRefunds(f fields) (o order, rows []refund, given bool, err error) {
	for _, own := range []struct{ name, kind string }{{"refund_id", refundIDKind}, {"out_refund_no", refundKind}} {
		if f[own.name] == "" {
			continue
		}
		o, r, found, err := s.refundBy(own.kind, f[own.name])
		if found {
			rows = []refund{r}
		}
		return o, rows, true, err
	}
	find, number := s.orderByTransaction, f["transaction_id"]
	if number == "" {
		find, number = s.order, f["out_trade_no"]
	}
	if number == "" {
		return order{}, nil, false, nil
	}
	o, _, err = find(number)
	return o, o.Refunds, true, err
}

// v2Row is one refund of the answer; its names end with its place.
func (r refund) v2Row(n string, now time.Time) []element {
	amount, state := strconv.FormatInt(r.Amount, 10), r.state(now)
	row := []element{
		{"out_refund_no_" + n, r.OutRefundNo},
		{"refund_id_" + n, r.RefundID},
		{"refund_channel_" + n, "ORIGINAL"},
		{"refund_fee_" + n, amount},
		{"settlement_refund_fee_" + n, amount},
		{"refund_status_" + n, v2RefundStates[state]},
		{"refund_account_" + n, v2Account(r)},
		{"refund_recv_accout_" + n, refundReceiver}, // sic
	}
	if state == refundSuccess {
		row = append(row, element{"refund_success_time_" + n, r.Settles.In(beijing).Format(time.DateTime)})
	}
	return row
}
