package wechat

// APIv2: XML messages that both sides sign with one secret. A field is an element directly under the root; where no
// signature is shown, the tests' platform adds nonce_str, sign_type and sign by their own rules.

// Field is one element of an APIv2 message.
type Field struct{ Name, Value string }

// V2Key is the key of the documentation's signature example. It is public, so that nobody may use it.
// Source: APIv2 documentation, 安全规范, 签名算法.
const V2Key = "192006250b4c09247ec02edce69f6a2d"

// V2SignedText is a set of fields with its text to sign and both signatures.
type V2SignedText struct {
	Name   string
	Key    string
	Fields []Field // in an order that is not the signed one
	Text   string  // what is signed, without "&key=…"
	MD5    string
	HMAC   string // HMAC-SHA256
}

// V2SignedTexts are published signatures.
// Sources: APIv2 documentation, 安全规范, 签名算法; github.com/wechatpy/wechatpy, tests/test_pay.py.
var V2SignedTexts = []V2SignedText{
	{
		"documentation", V2Key,
		[]Field{{"mch_id", "10000100"}, {"device_info", "1000"}, {"appid", "wxd930ea5d5a258f4f"}, {"body", "test"}, {"nonce_str", "ibuaiVcKdpRxkhJA"}},
		"appid=wxd930ea5d5a258f4f&body=test&device_info=1000&mch_id=10000100&nonce_str=ibuaiVcKdpRxkhJA",
		"9A0A8659F005D6984697E2CA0A9CF3B7",
		"6A9AE1657590FD6257D693A078E1C3E4BB6BA4DC30B23E0EE2496E54170DACD6",
	},
	{
		"SDK", V2Key,
		[]Field{{"test2", "test2"}, {"test1", "test1"}},
		"test1=test1&test2=test2",
		"1E3A8D73B5A4AEE787C0F68B5DAB8520",
		"EDAC6D70D2FDF5A2382F8204FC96A1918017E46ACC5297F565ED1A7610ACF659",
	},
	{
		"empty values do not count, 0 does", V2Key, // the rule of the same page, put to the SDK's fields
		[]Field{{"test2", "test2"}, {"attach", ""}, {"test1", "test1"}, {"sign", "any"}},
		"test1=test1&test2=test2",
		"1E3A8D73B5A4AEE787C0F68B5DAB8520",
		"EDAC6D70D2FDF5A2382F8204FC96A1918017E46ACC5297F565ED1A7610ACF659",
	},
}

// V2ReqInfo is the encrypted part of a refund notice: AES-256-ECB with PKCS #7 under the lower-case hex MD5 of the key.
// Sources: studygolang.com/articles/11811; github.com/go-pay/gopay, wechat/notify_test.go.
var V2ReqInfo = struct{ Key, Ciphertext, Plaintext string }{
	"ziR0QKsTUfMOuochC9RfCdmfHECorQAP",
	"YYwp8C48th0wnQzTqeI+41pflB26v+smFj9z6h9RPBgxTyZyxc+4YNEz7QEgZNWj/6rIb2MfyWMZmCc41CfjKSssoSZPXxOhUayb6KvNSZ1p6frOX1PDWzhyruXK7ouNND+gDsG4yZ0XXzsL4/pYNwLLba/71QrnkJ/BHcByk4EXnglju5DLup9pJQSnTxjomI9Rxu57m9jg5lLQFxMWXyeASZJNvof0ulnHlWJswS4OxKOkmW7VEyKyLGV6npoOm03Qsx2wkRxLsSa9gPpg4hdaReeUqh1FMbm7aWjyrVYT/MEZWg98p4GomEIYvz34XfDncTezX4bf/ZiSLXt79aE1/YTZrYfymXeCrGjlbe0rg/T2ezJHAC870u2vsVbY1/KcE2A443N+DEnAziXlBQ1AeWq3Rqk/O6/TMM0lomzgctAOiAMg+bh5+Gu1ubA9O3E+vehULydD5qx2o6i3+qA9ORbH415NyRrQdeFq5vmCiRikp5xYptWiGZA0tkoaLKMPQ4ndE5gWHqiBbGPfULZWokI+QjjhhBmwgbd6J0VqpRorwOuzC/BHdkP72DCdNcm7IDUpggnzBIy0+seWIkcHEryKjge3YDHpJeQCqrAH0CgxXHDt1xtbQbST1VqFyuhPhUjDXMXrknrGPN/oE1t0rLRq+78cI+k8xe5E6seeUXQsEe8r3358mpcDYSmXWSXVZxK6er9EF98APqHwcndyEJD2YyCh/mMVhERuX+7kjlRXSiNUWa/Cv/XAKFQuvUYA5ea2eYWtPRHa4DpyuF1SNsaqVKfgqKXZrJHfAgslVpSVqUpX4zkKszHF4kwMZO3M7J1P94Mxa7Tm9mTOJePOoHPXeEB+m9rX6pSfoi3mJDQ5inJ+Vc4gOkg/Wd/lqiy6TTyP/dHDN6/v+AuJx5AXBo/2NDD3fWhHjkqEKIuARr2ClZt9ZRQO4HkXdZo7CN06sGCHk48Tg8PmxnxKcMZm7Aoquv5yMIM2gWSWIRJhwJ8cUpafIHc+GesDlbF6Zbt+/KXkafJAQq2RklEN+WvZ/zFz113EPgWPjp16TwBoziq96MMekvWKY/vdhjol8VFtGH9F61Oy1Xwf6DJtPw==",
	"<root>\n<out_refund_no><![CDATA[50fd012ed1b311e7af7800163e32c503]]></out_refund_no>\n<out_trade_no><![CDATA[4893e76d8c8b434cb64e9cd536338e33]]></out_trade_no>\n<refund_account><![CDATA[REFUND_SOURCE_RECHARGE_FUNDS]]></refund_account>\n<refund_fee><![CDATA[6]]></refund_fee>\n<refund_id><![CDATA[50000404922017112502468056157]]></refund_id>\n<refund_recv_accout><![CDATA[支付用户零钱]]></refund_recv_accout>\n<refund_request_source><![CDATA[API]]></refund_request_source>\n<refund_status><![CDATA[SUCCESS]]></refund_status>\n<settlement_refund_fee><![CDATA[6]]></settlement_refund_fee>\n<settlement_total_fee><![CDATA[6]]></settlement_total_fee>\n<success_time><![CDATA[2017-11-25 15:36:17]]></success_time>\n<total_fee><![CDATA[6]]></total_fee>\n<transaction_id><![CDATA[4200000015201711256947025404]]></transaction_id>\n</root>",
}

// The order that the APIv2 exchanges speak of: the documentation's examples, with one number, amount and time
// throughout.
const (
	V2AppID         = "wx2421b1c4370ec43b"
	V2MerchantID    = "10000100"
	V2OutTradeNo    = "1409811653"
	V2TransactionID = "1004400740201409030005092168"
	V2Body          = "腾讯充值中心-QQ会员充值"
	V2ClientIP      = "14.23.150.211"
	V2TimeExpire    = "20140903151540" // Beijing
	V2TimeEnd       = "20140903131540" // Beijing
	V2CodeURL       = "weixin://wxpay/s/An4baqw"
	V2PrepayID      = "wx201411101639507cbf6ffd8b0779950874"
	V2Total         = 888 // fen
)

// V2Exchange is a request and an answer. HTTP status is always 200, method POST. Neither shows nonce_str, sign_type and
// sign; an answer is signed unless Unsigned.
type V2Exchange struct {
	Name     string
	Source   string
	Path     string
	Request  []Field
	Answer   []Field
	Unsigned bool
}

// fields puts lists together.
func fields(lists ...[]Field) []Field {
	var all []Field
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

var (
	v2Identity = []Field{{"appid", V2AppID}, {"mch_id", V2MerchantID}}
	v2Order    = fields(v2Identity, []Field{{"out_trade_no", V2OutTradeNo}})
	v2Native   = fields(v2Order, []Field{
		{"body", V2Body},
		{"total_fee", "888"},
		{"fee_type", "CNY"},
		{"spbill_create_ip", V2ClientIP},
		{"time_expire", V2TimeExpire},
		{"notify_url", NotifyURL},
		{"trade_type", "NATIVE"},
		{"product_id", V2OutTradeNo},
	})

	v2Received = []Field{{"return_code", "SUCCESS"}, {"return_msg", "OK"}}
	v2Done     = fields(v2Received, v2Identity, []Field{{"result_code", "SUCCESS"}})
	v2Opened   = fields(v2Done, []Field{{"trade_type", "NATIVE"}, {"prepay_id", V2PrepayID}, {"code_url", V2CodeURL}})

	v2Money = []Field{
		{"openid", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
		{"is_subscribe", "Y"},
		{"trade_type", "NATIVE"},
		{"bank_type", "CFT"},
		{"total_fee", "888"},
		{"fee_type", "CNY"},
		{"cash_fee", "888"},
		{"cash_fee_type", "CNY"},
		{"transaction_id", V2TransactionID},
		{"out_trade_no", V2OutTradeNo},
		{"attach", ""},
		{"time_end", V2TimeEnd},
	}
)

// v2State is an answer to a query about an order without money.
func v2State(state, text string) []Field {
	return fields(v2Done, []Field{{"out_trade_no", V2OutTradeNo}, {"attach", ""}, {"trade_state", state}, {"trade_state_desc", text}})
}

// v2No is a signed business failure.
func v2No(code, text string) []Field {
	return fields(v2Received, v2Identity, []Field{{"result_code", "FAIL"}, {"err_code", code}, {"err_code_des", text}})
}

// V2Paid is the answer to a query about a paid order. Source: 查询订单.
var V2Paid = fields(v2Done, v2Money, []Field{{"trade_state", "SUCCESS"}, {"trade_state_desc", "支付成功"}})

// V2PaidWithCoupon is V2Paid where a coupon took 88 fen. Source: 查询订单, coupon_fee, coupon_id_$n.
var V2PaidWithCoupon = fields(v2Done, []Field{
	{"openid", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
	{"is_subscribe", "N"},
	{"trade_type", "NATIVE"},
	{"bank_type", "CMC"},
	{"total_fee", "888"},
	{"settlement_total_fee", "800"},
	{"fee_type", "CNY"},
	{"cash_fee", "800"},
	{"cash_fee_type", "CNY"},
	{"coupon_fee", "88"},
	{"coupon_count", "1"},
	{"coupon_type_0", "CASH"},
	{"coupon_id_0", "10000"},
	{"coupon_fee_0", "88"},
	{"transaction_id", V2TransactionID},
	{"out_trade_no", V2OutTradeNo},
	{"time_end", V2TimeEnd},
	{"trade_state", "SUCCESS"},
	{"trade_state_desc", "支付成功"},
})

// V2Notice is the notice of a payment. Source: 支付结果通知.
var V2Notice = fields([]Field{{"return_code", "SUCCESS"}}, v2Identity, []Field{{"result_code", "SUCCESS"}}, v2Money)

// V2RefundNotice is the notice of a refund, which nobody signs: it also carries req_info, the ciphertext of
// V2RefundInfo. Source: 退款结果通知.
var V2RefundNotice = fields([]Field{{"return_code", "SUCCESS"}}, v2Identity)

// V2RefundInfo are the fields under <root> inside of req_info. refund_recv_accout is spelled so. Source: 退款结果通知.
var V2RefundInfo = []Field{
	{"transaction_id", V2TransactionID},
	{"out_trade_no", V2OutTradeNo},
	{"refund_id", "50000404922017112502468056157"},
	{"out_refund_no", "1217752501201407033233368018"},
	{"total_fee", "888"},
	{"settlement_total_fee", "888"},
	{"refund_fee", "40"},
	{"settlement_refund_fee", "40"},
	{"refund_status", "SUCCESS"},
	{"success_time", "2017-11-25 15:36:17"},
	{"refund_recv_accout", "支付用户零钱"},
	{"refund_account", "REFUND_SOURCE_RECHARGE_FUNDS"},
	{"refund_request_source", "API"},
}

// V2Acks are the merchant's answers to a notice. Source: 支付结果通知, 返回参数.
var V2Acks = struct{ Accepted, Refused []Field }{
	[]Field{{"return_code", "SUCCESS"}, {"return_msg", "OK"}},
	[]Field{{"return_code", "FAIL"}, {"return_msg", "签名失败"}},
}

// The paths of the native product, on both hosts.
const (
	V2OpenPath  = "/pay/unifiedorder"
	V2QueryPath = "/pay/orderquery"
	V2ClosePath = "/pay/closeorder"
)

// V2Exchanges of the native product. Sources are pages of the APIv2 documentation.
var V2Exchanges = []V2Exchange{
	{"native", "统一下单", V2OpenPath, v2Native, v2Opened, false},
	{"native paid", "统一下单, 错误码", V2OpenPath, v2Native, v2No("ORDERPAID", "该订单已支付"), false},
	{"native closed", "统一下单, 错误码", V2OpenPath, v2Native, v2No("ORDERCLOSED", "该订单已关闭"), false},
	{"native number used", "统一下单, 错误码", V2OpenPath, v2Native, v2No("OUT_TRADE_NO_USED", "商户订单号重复"), false},
	{"native permission", "统一下单, 错误码", V2OpenPath, v2Native, v2No("NOAUTH", "商户无此接口权限"), false},
	{"native app id", "统一下单, 错误码", V2OpenPath, v2Native, v2No("APPID_NOT_EXIST", "APPID不存在"), false},
	{"native pairing", "统一下单, 错误码", V2OpenPath, v2Native, v2No("APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配"), false},
	{"native parameter", "统一下单, 错误码", V2OpenPath, v2Native, v2No("PARAM_ERROR", "参数错误"), false},
	{"native failing", "统一下单, 错误码", V2OpenPath, v2Native, v2No("SYSTEMERROR", "系统超时"), false},
	{"native limited", "错误码 (申请退款 lists it)", V2OpenPath, v2Native, v2No("FREQUENCY_LIMITED", "频率限制"), false},
	{"native signature", "协议规则: return_code FAIL", V2OpenPath, v2Native, []Field{{"return_code", "FAIL"}, {"return_msg", "签名错误"}}, true},

	{"query paid", "查询订单", V2QueryPath, v2Order, V2Paid, false},
	{"query paid with coupon", "查询订单", V2QueryPath, v2Order, V2PaidWithCoupon, false},
	{"query unpaid", "查询订单", V2QueryPath, v2Order, v2State("NOTPAY", "订单未支付"), false},
	{"query paying", "查询订单", V2QueryPath, v2Order, v2State("USERPAYING", "需要用户输入支付密码"), false},
	{"query payment failed", "查询订单", V2QueryPath, v2Order, v2State("PAYERROR", "支付失败"), false},
	{"query closed", "查询订单", V2QueryPath, v2Order, v2State("CLOSED", "订单已关闭"), false},
	{"query reversed", "查询订单", V2QueryPath, v2Order, v2State("REVOKED", "订单已撤销"), false},
	{"query refunded", "查询订单", V2QueryPath, v2Order, fields(v2Done, v2Money, []Field{{"trade_state", "REFUND"}, {"trade_state_desc", "订单发生过退款"}}), false},
	{"query absent", "查询订单, 错误码", V2QueryPath, v2Order, v2No("ORDERNOTEXIST", "此交易订单号不存在"), false},
	{"query failing", "查询订单, 错误码", V2QueryPath, v2Order, v2No("SYSTEMERROR", "系统错误"), false},

	{"close", "关闭订单", V2ClosePath, v2Order, v2Done, false},
	{"close paid", "关闭订单, 错误码", V2ClosePath, v2Order, v2No("ORDERPAID", "订单已支付"), false},
	{"close closed", "关闭订单, 错误码", V2ClosePath, v2Order, v2No("ORDERCLOSED", "订单已关闭"), false},
	{"close absent", "关闭订单, 错误码", V2ClosePath, v2Order, v2No("ORDERNOTEXIST", "订单不存在"), false},
	{"close in a wrong state", "关闭订单, 错误码", V2ClosePath, v2Order, v2No("TRADE_STATE_ERROR", "订单状态错误"), false},
	{"close failing", "关闭订单, 错误码", V2ClosePath, v2Order, v2No("SYSTEMERROR", "系统错误"), false},
}
