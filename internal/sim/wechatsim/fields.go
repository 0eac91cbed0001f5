package wechatsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"piaohao/internal/sim/simkit"
)

// kind is a field's JSON type.
type kind int

const (
	text    kind = iota
	integer      // whole number without fraction or exponent
	boolean
	object
	list // of objects with these fields, or of texts where there are none
)

// field is one row of an interface's table in the documents. A name that is in no row is refused.
type field struct {
	name     string
	kind     kind
	required bool
	max      int                 // characters of a text; elements of a list
	least    int64               // of an integer
	check    func(string) string // of a text: what is wrong with it, "" = nothing
	fields   []field             // of an object or of a list's elements
}

const maxElements = 6000 // goods rows: beyond any order that fits the body's limit

// nativeFields is the table of POST /v3/pay/transactions/native (Native下单).
var nativeFields = []field{
	{name: "appid", required: true, max: 32},
	{name: "mchid", required: true, max: 32, check: checkMerchantID},
	{name: "description", required: true, max: 127},
	{name: "out_trade_no", required: true, max: 32, check: checkOutTradeNo},
	{name: "time_expire", max: 64, check: checkTime},
	{name: "attach", max: 128},
	{name: "notify_url", required: true, max: 255, check: checkNotifyURL},
	{name: "goods_tag", max: 32},
	{name: "support_fapiao", kind: boolean},
	{name: "limit_pay", kind: list, max: 16},
	{name: "amount", kind: object, required: true, fields: []field{
		{name: "total", kind: integer, required: true, least: 1},
		{name: "currency", max: 16, check: checkCurrency},
	}},
	{name: "detail", kind: object, fields: []field{
		{name: "cost_price", kind: integer},
		{name: "invoice_id", max: 32},
		{name: "goods_detail", kind: list, max: maxElements, fields: []field{
			{name: "merchant_goods_id", required: true, max: 32},
			{name: "wechatpay_goods_id", max: 32},
			{name: "goods_name", max: 256},
			{name: "quantity", kind: integer, required: true, least: 1},
			{name: "unit_price", kind: integer, required: true},
		}},
	}},
	{name: "scene_info", kind: object, fields: []field{
		{name: "payer_client_ip", required: true, max: 45},
		{name: "device_id", max: 32},
		{name: "store_info", kind: object, fields: []field{
			{name: "id", required: true, max: 32},
			{name: "name", max: 256},
			{name: "area_code", max: 32},
			{name: "address", max: 512},
		}},
	}},
	{name: "settle_info", kind: object, fields: []field{
		{name: "profit_sharing", kind: boolean},
	}},
}

var closeFields = []field{{name: "mchid", required: true, max: 32, check: checkMerchantID}}

var (
	merchantIDForm = regexp.MustCompile(`^[0-9]{8,10}$`)
	outTradeNoForm = regexp.MustCompile(`^[0-9A-Za-z_\-|*]{6,32}$`)
)

func checkMerchantID(s string) string {
	if !merchantIDForm.MatchString(s) {
		return "商户号应为8-10位数字"
	}
	return ""
}

func checkOutTradeNo(s string) string {
	if !outTradeNoForm.MatchString(s) {
		return "商户订单号只能是6-32位的数字、大小写字母和_-|*"
	}
	return ""
}

func checkCurrency(s string) string {
	if s != "CNY" {
		return "境内商户号仅支持人民币CNY"
	}
	return ""
}

// checkNotifyURL differs from the platform in one thing: http and hosts that only we can reach are good (Native下单).
func checkNotifyURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return "通知地址必须为完整的URL"
	}
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.ContainsRune(s, '#') {
		return "通知地址不能携带参数"
	}
	return ""
}

const timeForm = "2006-01-02T15:04:05-07:00"

func checkTime(s string) string {
	t, err := time.Parse(timeForm, s)
	if err != nil || t.Format(timeForm) != s { // Parse lets fractions of a second through
		return "时间格式应为yyyy-MM-DDTHH:mm:ss+08:00"
	}
	return ""
}

// parseBody reads a request body by its table. What no row allows is refused, with the place named.
func parseBody(raw []byte, table []field) (map[string]any, *apiError) {
	doc, err := simkit.ParseObject(raw)
	if err != nil {
		var bad *simkit.JSONError
		if !errors.As(err, &bad) {
			bad = &simkit.JSONError{Issue: "not JSON"}
		}
		return nil, paramError("body", bad.Path, "", bad.Issue)
	}
	return doc, checkObject("", doc, table)
}

func checkObject(at string, doc map[string]any, table []field) *apiError {
	known := 0
	for _, f := range table {
		v, ok := doc[f.name]
		if !ok {
			if f.required {
				return paramError("body", at+"/"+f.name, "", "缺少必填参数")
			}
			continue
		}
		known++
		if refused := checkValue(at+"/"+f.name, v, f); refused != nil {
			return refused
		}
	}
	if known == len(doc) {
		return nil
	}
	return extraParam("body", at+"/"+firstUnknown(doc, table))
}

func firstUnknown(doc map[string]any, table []field) string {
	first := ""
	for name := range doc {
		unknown := true
		for _, f := range table {
			unknown = unknown && f.name != name
		}
		if unknown && (first == "" || name < first) {
			first = name
		}
	}
	return first
}

func checkValue(at string, v any, f field) *apiError {
	switch f.kind {
	case integer:
		return checkInteger(at, v, f)
	case boolean:
		if _, ok := v.(bool); !ok {
			return wrongType(at, "布尔值")
		}
	case object:
		doc, ok := v.(map[string]any)
		if !ok {
			return wrongType(at, "对象")
		}
		return checkObject(at, doc, f.fields)
	case list:
		return checkList(at, v, f)
	default:
		return checkText(at, v, f)
	}
	return nil
}

func checkText(at string, v any, f field) *apiError {
	s, ok := v.(string)
	if !ok {
		return wrongType(at, "字符串")
	}
	for _, r := range s {
		if r > 0xFFFF {
			return paramError("body", at, s, "只支持1-3个字节的UTF-8字符")
		}
	}
	if n := utf8.RuneCountInString(s); n < 1 || n > f.max {
		return paramError("body", at, truncate([]byte(s), shownMessage), fmt.Sprintf("长度应为1-%d个字符", f.max))
	}
	if f.check != nil {
		if issue := f.check(s); issue != "" {
			return paramError("body", at, s, issue)
		}
	}
	return nil
}

func checkInteger(at string, v any, f field) *apiError {
	n, ok := v.(json.Number)
	if !ok {
		return wrongType(at, "整数")
	}
	i, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil {
		return wrongType(at, "整数")
	}
	if i < f.least {
		return paramError("body", at, n.String(), fmt.Sprintf("最小值为%d", f.least))
	}
	return nil
}

func checkList(at string, v any, f field) *apiError {
	elements, ok := v.([]any)
	if !ok {
		return wrongType(at, "数组")
	}
	if len(elements) > f.max {
		return paramError("body", at, "", fmt.Sprintf("最多%d个元素", f.max))
	}
	element := field{kind: object, fields: f.fields}
	if f.fields == nil {
		element = field{kind: text, max: 32}
	}
	for i, e := range elements {
		if refused := checkValue(at+"/"+strconv.Itoa(i), e, element); refused != nil {
			return refused
		}
	}
	return nil
}

// wrongType also is what null meets: it is no value of any type (接口规则).
func wrongType(at, want string) *apiError {
	return paramError("body", at, "", "参数类型应为"+want)
}
