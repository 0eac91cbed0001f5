package alipaysim

// failure is one refusal: code and sub_code are the platform's (open platform
// docs, "公共错误码", and each method's business error table), detail is what
// sub_msg adds to the literal text.
type failure struct {
	code, subCode, detail string
}

func (f *failure) Error() string { return f.code + " " + f.subCode + " " + f.subMsg() }

// messages are the msg texts by code.
var messages = map[string]string{
	"10000": "Success",
	"20000": "Service Currently Unavailable",
	"40001": "Missing Required Arguments",
	"40002": "Invalid Arguments",
	"40004": "Business Failed",
	"40005": "Call Limited",
	"40006": "Insufficient Permissions",
}

// subMessages are the sub_msg texts by sub_code. Clients must never match them.
var subMessages = map[string]string{
	"isp.unknow-error":                     "系统繁忙",
	"isv.missing-method":                   "缺少方法名参数",
	"isv.missing-app-id":                   "缺少应用ID参数",
	"isv.missing-signature":                "缺少签名参数",
	"isv.missing-signature-type":           "缺少签名类型参数",
	"isv.missing-timestamp":                "缺少时间戳参数",
	"isv.missing-version":                  "缺少版本参数",
	"isv.missing-app-cert-sn":              "缺少应用公钥证书SN",
	"isv.missing-alipay-root-cert-sn":      "缺少支付宝根证书SN",
	"isv.app-cert-not-exist":               "应用公钥证书不存在",
	"isv.alipay-cert-not-exist":            "支付宝公钥证书不存在",
	"isv.invalid-alipay-root-cert-sn":      "无效的支付宝根证书SN",
	"isv.insufficient-isv-permissions":     "ISV权限不足",
	"isv.invalid-method":                   "不存在的方法名",
	"isv.invalid-app-id":                   "无效的AppID参数",
	"isv.invalid-charset":                  "字符集错误",
	"isv.invalid-format":                   "无效的数据格式",
	"isv.invalid-signature-type":           "无效的签名类型",
	"isv.invalid-signature":                "无效签名",
	"isv.invalid-timestamp":                "非法的时间戳参数",
	"isv.invalid-parameter":                "参数无效",
	"isv.invalid-encrypt-type":             "无效的加密类型",
	"isv.app-call-limited":                 "应用调用次数超限",
	"isv.illegal-json":                     "json格式错误",
	"ACQ.INVALID_PARAMETER":                "参数无效",
	"ACQ.TRADE_NOT_EXIST":                  "交易不存在",
	"ACQ.TRADE_STATUS_ERROR":               "交易状态不合法",
	"ACQ.TRADE_HAS_SUCCESS":                "交易已被支付",
	"ACQ.TRADE_HAS_CLOSE":                  "交易已经关闭",
	"ACQ.CONTEXT_INCONSISTENT":             "交易信息被篡改",
	"ACQ.SYSTEM_ERROR":                     "系统错误",
	"ACQ.REFUND_AMT_NOT_EQUAL_TOTAL":       "退款金额超限",
	"ACQ.REASON_TRADE_REFUND_FEE_ERR":      "退款金额无效",
	"ACQ.DISCORDANT_REPEAT_REQUEST":        "请求信息不一致",
	"ACQ.TRADE_HAS_FINISHED":               "交易已完结",
	"ACQ.TRADE_NOT_ALLOW_REFUND":           "当前交易不允许退款",
	"ACQ.SELLER_BALANCE_NOT_ENOUGH":        "商户的支付宝账户中无足够的资金进行退款",
	"ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR": "当前时间已超过允许支付的时间",
}

func (f *failure) subMsg() string {
	text := subMessages[f.subCode]
	if f.detail != "" {
		text += "，" + f.detail
	}
	return text
}

func missing(subCode string) *failure {
	return &failure{code: "40001", subCode: "isv.missing-" + subCode}
}

func invalid(subCode, detail string) *failure {
	return &failure{code: "40002", subCode: "isv.invalid-" + subCode, detail: detail}
}

func business(subCode, detail string) *failure {
	return &failure{code: "40004", subCode: "ACQ." + subCode, detail: detail}
}

func badField(name, rule string) *failure {
	return business("INVALID_PARAMETER", name+"："+rule)
}

// unknownResult is the platform's "ask again": whether anything happened is open.
func unknownResult() *failure { return &failure{code: "20000", subCode: "isp.unknow-error"} }
