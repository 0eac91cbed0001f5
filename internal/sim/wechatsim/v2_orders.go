package wechatsim

import (
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"piaohao/internal/sim/simkit"
)

// v2Field is one row of an interface's table (APIv2, 统一下单 …). What stands in no row is signed along and ignored.
type v2Field struct {
	name     string
	required bool
	max      int                 // characters
	check    func(string) string // what is wrong with it, "" = nothing
}

var v2OrderFields = []v2Field{
	{name: "nonce_str", required: true, max: 32},
	{name: "device_info", max: 32},
	{name: "body", required: true, max: 127},
	{name: "detail", max: 6000},
	{name: "attach", max: 127},
	{name: "out_trade_no", required: true, max: 32, check: like(`^[0-9A-Za-z_\-|*]{1,32}$`, "只能是32位以内的数字、大小写字母和_-|*")},
	{name: "fee_type", max: 16, check: like(`^CNY$`, "境内商户号仅支持人民币CNY")},
	{name: "total_fee", required: true, max: 18, check: like(`^[1-9][0-9]*$`, "应为大于0的整数，单位为分")},
	{name: "spbill_create_ip", required: true, max: 64},
	{name: "time_start", max: 14, check: checkV2Time},
	{name: "time_expire", max: 14, check: checkV2Time},
	{name: "goods_tag", max: 32},
	{name: "notify_url", required: true, max: 256, check: checkNotifyURL},
	{name: "trade_type", required: true, max: 16, check: like(`^(NATIVE|JSAPI|APP|MWEB)$`, "取值JSAPI、NATIVE、APP或MWEB")},
	{name: "product_id", max: 32},
	{name: "limit_pay", max: 32, check: like(`^no_credit$`, "取值no_credit")},
	{name: "openid", max: 128},
	{name: "receipt", max: 8, check: like(`^Y$`, "取值Y")},
	{name: "profit_sharing", max: 16, check: like(`^[YN]$`, "取值Y或N")},
	{name: "scene_info", max: 256},
}

var (
	v2QueryFields = []v2Field{{name: "nonce_str", required: true, max: 32}, {name: "transaction_id", max: 32}, {name: "out_trade_no", max: 32}}
	v2CloseFields = []v2Field{{name: "nonce_str", required: true, max: 32}, {name: "out_trade_no", required: true, max: 32}}
)

var appIDForm = regexp.MustCompile(`^wx[0-9a-f]{16}$`)

// v2TimeForm is Beijing's time (APIv2, 统一下单, time_expire).
const v2TimeForm = "20060102150405"

// like checks a text against a pattern.
func like(pattern, rule string) func(string) string {
	form := regexp.MustCompile(pattern)
	return func(s string) string {
		if !form.MatchString(s) {
			return rule
		}
		return ""
	}
}

func checkV2Time(s string) string {
	if t, err := time.ParseInLocation(v2TimeForm, s, beijing); err != nil || t.Format(v2TimeForm) != s {
		return "格式为yyyyMMddHHmmss"
	}
	return ""
}

// check holds the fields against a table.
func (f fields) check(table []v2Field) *v2Refusal {
	for _, row := range table {
		value := f[row.name]
		switch {
		case value == "" && row.required:
			return v2Lack(row.name)
		case value == "":
			continue
		case utf8.RuneCountInString(value) > row.max:
			return v2Bad(row.name, fmt.Sprintf("长度不能超过%d个字符", row.max))
		}
		for _, r := range value {
			if r > 0xFFFF {
				return v2Bad(row.name, "含有不支持的字符")
			}
		}
		if row.check != nil {
			if issue := row.check(value); issue != "" {
				return v2Bad(row.name, issue)
			}
		}
	}
	return nil
}

// v2Order is 统一下单. Ordering again with the same parameters gives a new code, which voids the one before.
func (s *Sim) v2Order(f fields) ([]element, *v2Refusal, error) {
	if refused := f.check(v2OrderFields); refused != nil {
		return nil, refused, nil
	}
	if f["trade_type"] != "NATIVE" {
		return nil, v2NoAuth, nil
	}
	now := s.kit.Clock.Now()
	o, err := newV2Order(f, now)
	if err != nil {
		return nil, nil, err
	}
	pr, err := s.kit.Text(simkit.AlphaNum, 9)
	if err != nil {
		return nil, nil, err
	}
	serial, err := s.kit.Text("0123456789abcdef", 20)
	if err != nil {
		return nil, nil, err
	}
	why, err := s.place(o, pr)
	if refused := v2OrderTroubles[why]; refused != nil || err != nil {
		return nil, refused, err
	}
	return append(o.device(),
		element{"trade_type", "NATIVE"},
		element{"prepay_id", "wx" + now.In(beijing).Format(v2TimeForm) + serial},
		element{"code_url", codePath + pr},
	), nil, nil
}

// v2OrderTroubles and v2CloseTroubles are APIv2's words (错误码 of both interfaces).
var (
	v2OrderTroubles = map[trouble]*v2Refusal{
		orderPaid:    {"ORDERPAID", "该订单已支付"},
		orderClosed:  {"ORDERCLOSED", "该订单已关闭"},
		orderDiffers: {"OUT_TRADE_NO_USED", "商户订单号重复"},
		orderExpired: {"INVALID_REQUEST", "订单已过期，请使用新的商户订单号重新下单"},
	}
	v2CloseTroubles = map[trouble]*v2Refusal{
		orderAbsent: {"ORDERNOTEXIST", "订单不存在"},
		orderPaid:   {"ORDERPAID", "订单已支付"},
		orderClosed: {"ORDERCLOSED", "订单已关闭"},
	}
)

// newV2Order reads a checked request. The deadline's rules are APIv3's.
func newV2Order(f fields, now time.Time) (order, error) {
	total, err := strconv.ParseInt(f["total_fee"], 10, 64)
	if err != nil {
		return order{}, fmt.Errorf("wechatsim: total_fee: %w", err)
	}
	same := maps.Clone(f) // without what differs in each repetition
	delete(same, "nonce_str")
	delete(same, "sign_type")
	t, _ := parseSignType(f["sign_type"])
	o := order{
		OutTradeNo: f["out_trade_no"], Request: "v2 " + same.canonical(), Description: f["body"], Attach: f["attach"],
		NotifyURL: f["notify_url"], Total: total, State: stateNotPay, Created: now, PayBy: now.Add(defaultExpiry),
		SignType: t, DeviceInfo: f["device_info"],
	}
	if expire := f["time_expire"]; expire != "" {
		if o.PayBy, err = time.ParseInLocation(v2TimeForm, expire, beijing); err != nil {
			return order{}, fmt.Errorf("wechatsim: time_expire: %w", err)
		}
		o.PayBy = clamp(o.PayBy.UTC(), now.Add(shortestExpiry), now.Add(longestExpiry))
	}
	return o, nil
}

// v2Query is 查询订单; transaction_id wins over out_trade_no.
func (s *Sim) v2Query(f fields) ([]element, *v2Refusal, error) {
	if refused := f.check(v2QueryFields); refused != nil {
		return nil, refused, nil
	}
	find, number := s.orderByTransaction, f["transaction_id"]
	if number == "" {
		find, number = s.order, f["out_trade_no"]
	}
	if number == "" {
		return nil, v2Lack("transaction_id或out_trade_no"), nil
	}
	o, found, err := find(number)
	if err != nil {
		return nil, nil, err
	}
	if !found {
		return nil, v2Absent, nil
	}
	state := o.state(s.kit.Clock.Now())
	answer := o.device()
	if o.isPaid() {
		answer = append(answer, s.v2Money(o)...)
	} else {
		answer = append(answer, element{"out_trade_no", o.OutTradeNo}, element{"attach", o.Attach})
	}
	return append(answer, element{"trade_state", state}, element{"trade_state_desc", stateTexts[state]}), nil, nil
}

// v2Close is 关闭订单. Unlike APIv3 it says when the order was closed before.
func (s *Sim) v2Close(f fields) ([]element, *v2Refusal, error) {
	if refused := f.check(v2CloseFields); refused != nil {
		return nil, refused, nil
	}
	why, err := s.close(f["out_trade_no"])
	return nil, v2CloseTroubles[why], err
}

func (o order) device() []element {
	if o.DeviceInfo == "" {
		return nil
	}
	return []element{{"device_info", o.DeviceInfo}}
}

// v2Money is what query and notice tell of a paid order.
func (s *Sim) v2Money(o order) []element {
	total := strconv.FormatInt(o.Total, 10)
	return []element{
		{"openid", s.openID(o.Payer)},
		{"is_subscribe", "N"},
		{"trade_type", "NATIVE"},
		{"bank_type", "OTHERS"},
		{"total_fee", total},
		{"fee_type", "CNY"},
		{"cash_fee", total},
		{"cash_fee_type", "CNY"},
		{"transaction_id", o.TransactionID},
		{"out_trade_no", o.OutTradeNo},
		{"attach", o.Attach},
		{"time_end", o.PaidAt.In(beijing).Format(v2TimeForm)},
	}
}
