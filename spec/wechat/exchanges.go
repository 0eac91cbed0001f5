package wechat

// The order that the exchanges speak of.
const (
	AppID         = "wxd678efh567hg6787"
	MerchantID    = "1900007291"
	OutTradeNo    = "1217752501201407033233368018"
	TransactionID = "4200000985202103031441826014"
	NotifyURL     = "https://www.weixin.qq.com/wxpay/pay.php"
	Description   = "Image形象店-深圳腾大-QQ公仔"
	TimeExpire    = "2018-06-08T12:34:56+08:00"
	SuccessTime   = "2018-06-08T10:34:56+08:00"
	CodeURL       = "weixin://wxpay/bizpayurl?pr=p4lpSuKzz"
	Total         = 100 // fen
)

// Exchange is a request and an answer as the documentation has them. JSON bodies mean their content: the order of
// members and spaces are free.
type Exchange struct {
	Name    string
	Source  string
	Method  string
	Target  string // path and query
	Request string // JSON, "" = no body
	Status  int
	Answer  string // JSON, "" = no body
}

const (
	queryTarget = "/v3/pay/transactions/out-trade-no/" + OutTradeNo + "?mchid=" + MerchantID
	closeTarget = "/v3/pay/transactions/out-trade-no/" + OutTradeNo + "/close"
	identity    = `"appid":"` + AppID + `","mchid":"` + MerchantID + `","out_trade_no":"` + OutTradeNo + `"`
	nativeBody  = `{` + identity + `,"description":"` + Description + `","time_expire":"` + TimeExpire + `","notify_url":"` + NotifyURL + `","amount":{"total":100,"currency":"CNY"}}`
	closeBody   = `{"mchid":"` + MerchantID + `"}`

	// Paid is a transaction as query and notice show it once paid.
	// Source: 查询订单 and 支付成功回调通知; member order and the empty attach as in notices that merchants printed.
	Paid = `{"mchid":"` + MerchantID + `","appid":"` + AppID + `","out_trade_no":"` + OutTradeNo + `","transaction_id":"` + TransactionID + `","trade_type":"NATIVE","trade_state":"SUCCESS","trade_state_desc":"支付成功","bank_type":"OTHERS","attach":"","success_time":"` + SuccessTime + `","payer":{"openid":"oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},"amount":{"total":100,"payer_total":100,"currency":"CNY","payer_currency":"CNY"}}`

	// PaidWithCoupon is Paid where a coupon took 10 fen. Source: 查询订单, promotion_detail.
	PaidWithCoupon = `{` + identity + `,"transaction_id":"` + TransactionID + `","trade_type":"NATIVE","trade_state":"SUCCESS","trade_state_desc":"支付成功","bank_type":"CMC","attach":"自定义数据","success_time":"` + SuccessTime + `","payer":{"openid":"oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},"amount":{"total":100,"payer_total":90,"currency":"CNY","payer_currency":"CNY"},"scene_info":{"device_id":"013467007045764"},"promotion_detail":[{"coupon_id":"109519","name":"单品惠-6","scope":"GLOBAL","type":"CASH","amount":10,"stock_id":"931386","wechatpay_contribute":0,"merchant_contribute":0,"other_contribute":0,"currency":"CNY","goods_detail":[{"goods_id":"M1006","quantity":1,"unit_price":100,"discount_amount":1,"goods_remark":"商品备注信息"}]}]}`

	// Refunded is the inner text of a refund notice. Source: 退款结果回调通知.
	Refunded = `{"mchid":"` + MerchantID + `","out_trade_no":"` + OutTradeNo + `","transaction_id":"` + TransactionID + `","out_refund_no":"7752501201407033233368018","refund_id":"50200207182018070300011301001","refund_status":"SUCCESS","success_time":"2018-06-08T10:34:56+08:00","user_received_account":"招商银行信用卡0403","amount":{"total":100,"refund":40,"payer_total":100,"payer_refund":40}}`
)

// Exchanges of the native product. Sources are pages of the merchant documentation.
var Exchanges = []Exchange{
	{"native", "Native下单", "POST", "/v3/pay/transactions/native", nativeBody, 200, `{"code_url":"` + CodeURL + `"}`},
	{"native newer code", "wechatpay-skills, NativeInvoke", "POST", "/v3/pay/transactions/native", nativeBody, 200, `{"code_url":"weixin://pay.weixin.qq.com/bizpayurl/up?pr=NwY5Mz9&groupid=00"}`},
	{"native paid", "Native下单, 错误码", "POST", "/v3/pay/transactions/native", nativeBody, 400, `{"code":"ORDER_PAID","message":"该订单已支付"}`},
	{"native number used", "Native下单, 错误码", "POST", "/v3/pay/transactions/native", nativeBody, 403, `{"code":"OUT_TRADE_NO_USED","message":"商户订单号重复"}`},
	{"native closed", "Native下单, 错误码", "POST", "/v3/pay/transactions/native", nativeBody, 400, `{"code":"ORDER_CLOSED","message":"订单已关闭"}`},
	{"native parameter", "接口规则, 错误码和错误提示", "POST", "/v3/pay/transactions/native", nativeBody, 400, `{"code":"PARAM_ERROR","message":"参数错误","detail":{"field":"/amount/total","value":"0","issue":"最小值为1","location":"body"}}`},
	{"native permission", "Native下单, 错误码", "POST", "/v3/pay/transactions/native", nativeBody, 403, `{"code":"NO_AUTH","message":"商户无权限"}`},
	{"native limited", "Native下单, 错误码", "POST", "/v3/pay/transactions/native", nativeBody, 429, `{"code":"FREQUENCY_LIMITED","message":"频率超限"}`},
	{"native failing", "Native下单, 错误码", "POST", "/v3/pay/transactions/native", nativeBody, 500, `{"code":"SYSTEM_ERROR","message":"系统异常，请稍后重试"}`},

	{"query paid", "查询订单", "GET", queryTarget, "", 200, Paid},
	{"query paid with coupon", "查询订单", "GET", queryTarget, "", 200, PaidWithCoupon},
	{"query unpaid", "查询订单", "GET", queryTarget, "", 200, `{` + identity + `,"trade_state":"NOTPAY","trade_state_desc":"订单未支付"}`},
	{"query closed", "查询订单", "GET", queryTarget, "", 200, `{` + identity + `,"trade_state":"CLOSED","trade_state_desc":"订单已关闭"}`},
	{"query refunded", "查询订单", "GET", queryTarget, "", 200, `{` + identity + `,"transaction_id":"` + TransactionID + `","trade_type":"NATIVE","trade_state":"REFUND","trade_state_desc":"订单发生过退款","bank_type":"OTHERS","success_time":"` + SuccessTime + `","amount":{"total":100,"payer_total":100,"currency":"CNY","payer_currency":"CNY"}}`},
	{"query absent", "查询订单, 错误码", "GET", queryTarget, "", 404, `{"code":"ORDER_NOT_EXIST","message":"订单不存在"}`},
	{"query absent older", "查询订单, 错误码 (before 2024-12)", "GET", queryTarget, "", 404, `{"code":"ORDERNOTEXIST","message":"订单不存在"}`},
	{"query limited", "查询订单, 错误码", "GET", queryTarget, "", 429, `{"code":"FREQUENCY_LIMITED","message":"频率超限"}`},

	{"close", "关闭订单", "POST", closeTarget, closeBody, 204, ""},
	{"close paid", "关闭订单, 错误码", "POST", closeTarget, closeBody, 400, `{"code":"ORDER_PAID","message":"该订单已支付"}`},
	{"close paid older", "关闭订单, 错误码 (before 2024-12)", "POST", closeTarget, closeBody, 400, `{"code":"INVALID_REQUEST","message":"订单已支付，不支持关单"}`},
	{"close closed", "关闭订单, 错误码", "POST", closeTarget, closeBody, 400, `{"code":"ORDER_CLOSED","message":"订单已关闭"}`},
	{"close absent", "关闭订单, 错误码", "POST", closeTarget, closeBody, 404, `{"code":"ORDER_NOT_EXIST","message":"订单不存在"}`},
	{"close while paying", "关闭订单, 错误码", "POST", closeTarget, closeBody, 202, `{"code":"USER_PAYING","message":"用户支付中，需要输入密码"}`},
}

// SignError is an answer to a wrong request signature; the platform does not sign it.
// Source: wechatpay-axios-plugin issue 58, wechatpay-go issue 235.
const SignError = `{"code":"SIGN_ERROR","message":"错误的签名，验签失败","detail":{"detail":{"issue":"sign not match"},"field":"signature","location":"authorization","sign_information":{"method":"POST","url":"/v3/pay/transactions/native","sign_message_length":300,"truncated_sign_message":"POST\n/v3/pay/transactions/native\n"}}}`
