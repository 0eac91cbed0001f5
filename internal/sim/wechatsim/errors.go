package wechatsim

import "net/http"

// apiError is a refusal as the platform words it (错误码和错误提示). The internal code ends the Request-ID.
type apiError struct {
	Status   int     `json:"-"`
	Internal int     `json:"-"`
	Code     string  `json:"code"`
	Message  string  `json:"message"`
	Detail   *detail `json:"detail,omitempty"`
}

type detail struct {
	Field    string       `json:"field,omitempty"` // JSON pointer, or a variable's name outside bodies
	Value    string       `json:"value,omitempty"`
	Issue    string       `json:"issue,omitempty"`
	Location string       `json:"location,omitempty"` // body, query, path, authorization, header
	Inner    *innerIssue  `json:"detail,omitempty"`   // a real 401 nests its issue here (wechatpay-go issue 235)
	Signed   *signedTexts `json:"sign_information,omitempty"`
}

type innerIssue struct {
	Issue string `json:"issue"`
}

// signedTexts shows the merchant over which bytes the platform verified.
type signedTexts struct {
	Method    string `json:"method"`
	URL       string `json:"url"`
	Length    int    `json:"sign_message_length"` // bytes
	Truncated string `json:"truncated_sign_message"`
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

const (
	internalParam = 268435461
	internalExtra = 270924358
	internalSign  = 268443699
)

func paramError(location, field, value, issue string) *apiError {
	return &apiError{
		Status: http.StatusBadRequest, Internal: internalParam, Code: "PARAM_ERROR", Message: "参数错误",
		Detail: &detail{Field: field, Value: value, Issue: issue, Location: location},
	}
}

func extraParam(location, field string) *apiError {
	e := paramError(location, field, "", "请求中含有未在接口文档中定义的参数")
	e.Internal = internalExtra
	return e
}

func signError(field, message, issue string) *apiError {
	return &apiError{
		Status: http.StatusUnauthorized, Internal: internalSign, Code: "SIGN_ERROR", Message: message,
		Detail: &detail{Field: field, Location: "authorization", Inner: &innerIssue{Issue: issue}},
	}
}

// The refusals that need no detail. Statuses and codes: 错误码和错误提示 and the table of each interface. Internal codes:
// wechatpay-skills, 排障手册.
var (
	errOrderNotExist  = &apiError{Status: http.StatusNotFound, Internal: 268512771, Code: "ORDER_NOT_EXIST", Message: "订单不存在"}
	errOrderPaid      = &apiError{Status: http.StatusBadRequest, Internal: 268449538, Code: "ORDER_PAID", Message: "该订单已支付"}
	errOrderClosed    = &apiError{Status: http.StatusBadRequest, Internal: 268435461, Code: "ORDER_CLOSED", Message: "该订单已关闭，请使用新的商户订单号重新下单"}
	errOrderExpired   = &apiError{Status: http.StatusBadRequest, Internal: 268447914, Code: "INVALID_REQUEST", Message: "订单已过期，请使用新的商户订单号重新下单"}
	errReentry        = &apiError{Status: http.StatusBadRequest, Internal: 268498688, Code: "INVALID_REQUEST", Message: "商户订单号重复，请求重入时参数与首次请求不一致"}
	errMerchantDiffer = &apiError{Status: http.StatusBadRequest, Internal: 268447843, Code: "INVALID_REQUEST", Message: "请求中的商户号与签名使用的商户号不一致"}
	errAppIDDiffer    = &apiError{Status: http.StatusBadRequest, Internal: 268445527, Code: "APPID_MCHID_NOT_MATCH", Message: "appid和mch_id不匹配，请检查后再试"}
	errNoProduct      = &apiError{Status: http.StatusForbidden, Internal: 268443715, Code: "NO_AUTH", Message: "商户号该产品权限未开通，请前往商户平台>产品中心检查后重试"}
	errNoCertificates = &apiError{Status: http.StatusNotFound, Internal: 268435461, Code: "RESOURCE_NOT_EXISTS", Message: "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥"}
	errNoSuchURL      = &apiError{Status: http.StatusNotFound, Internal: 268435461, Code: "RESOURCE_NOT_EXISTS", Message: "请求的接口不存在，请检查请求方法和URL"}
	errTooOften       = &apiError{Status: http.StatusTooManyRequests, Internal: 268447840, Code: "FREQUENCY_LIMITED", Message: "频率超限，请稍后再试"}
	errSystem         = &apiError{Status: http.StatusInternalServerError, Internal: 268435456, Code: "SYSTEM_ERROR", Message: "系统异常，请用相同参数重新调用"}
)

// troubles are APIv3's words.
var troubles = map[trouble]*apiError{
	orderAbsent: errOrderNotExist, orderPaid: errOrderPaid, orderClosed: errOrderClosed, orderDiffers: errReentry, orderExpired: errOrderExpired,
}
