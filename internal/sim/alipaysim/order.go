package alipaysim

import (
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"piaohao/internal/sim/simkit"
)

// beijing is the zone of every time on the wire; wireTime its layout.
var beijing = time.FixedZone("GMT+8", 8*60*60)

const (
	wireTime       = "2006-01-02 15:04:05"
	wireTimeMinute = "2006-01-02 15:04" // older wap docs, time_expire only
)

func formatTime(t time.Time) string { return t.In(beijing).Format(wireTime) }

// parseTime reads the layout strictly: time.Parse alone would take "9:05:00".
func parseTime(layout, text string) (time.Time, bool) {
	t, err := time.ParseInLocation(layout, text, beijing)
	return t, err == nil && t.Format(layout) == text
}

// Limits of the order's fields, in characters (docs of page.pay and wap.pay).
const (
	maxSubject  = 256
	maxBody     = 128
	maxPassback = 512
	maxURL      = 256
	maxQuitURL  = 400
	maxFen      = 100_000_000 * 100

	minTimeout = time.Minute
	maxTimeout = 15 * 24 * time.Hour // also what holds when an order names none
)

var (
	outTradeNoForm = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
	amountForm     = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})(\.[0-9]{1,2})?$`)
	timeoutForm    = regexp.MustCompile(`^([1-9][0-9]{0,4})([mhd])$`)
)

// productCodes are what each method takes. QUICK_WAP_PAY is in no current
// document but in most SDK examples, and works.
var productCodes = map[string][]string{
	methodPagePay: {"FAST_INSTANT_TRADE_PAY"},
	methodWapPay:  {"QUICK_WAP_WAY", "QUICK_WAP_PAY"},
}

// fields are biz_content's members by their exact names.
type fields map[string]any

func parseBiz(text string) (fields, *failure) {
	if text == "" {
		return fields{}, nil
	}
	biz, err := simkit.ParseObject([]byte(text))
	if err != nil {
		return nil, &failure{code: "40002", subCode: "isv.illegal-json", detail: "biz_content " + err.Error()}
	}
	return biz, nil
}

// text is a field's string, or a number's own digits: the platform takes
// both for amounts. Another kind of value is refused; an absent one is "".
func (f fields) text(name string) (string, *failure) {
	switch value := f[name].(type) {
	case nil:
		return "", nil
	case string:
		return value, nil
	case json.Number:
		return value.String(), nil
	}
	return "", badField(name, "应为字符串")
}

// order is what a valid page.pay or wap.pay asks for. Amount is in fen.
type order struct {
	Method     string `json:"method"`
	OutTradeNo string `json:"out_trade_no"`
	Fen        int64  `json:"fen"`
	Subject    string `json:"subject"`
	Body       string `json:"body,omitempty"`
	Passback   string `json:"passback_params,omitempty"`
	QuitURL    string `json:"quit_url,omitempty"`
	NotifyURL  string `json:"notify_url,omitempty"`
	ReturnURL  string `json:"return_url,omitempty"`
	// Charset and SignType are the request's; notices and the return link repeat them.
	Charset  charset  `json:"charset"`
	SignType signType `json:"sign_type"`
	// Deadline is the end of paying, in business time.
	Deadline time.Time `json:"deadline"`
}

// sameAs tells whether another request for the number asks for the same trade.
func (o order) sameAs(other order) bool {
	return o.Method == other.Method && o.Fen == other.Fen && o.Subject == other.Subject && o.Body == other.Body
}

func (o order) isWap() bool { return o.Method == methodWapPay }

// parseYuan reads at most two decimals between 0.01 and 100000000.
func parseYuan(text string) (fen int64, ok bool) {
	if !amountForm.MatchString(text) {
		return 0, false
	}
	whole, decimals, _ := strings.Cut(text, ".")
	fen, err := strconv.ParseInt(whole+(decimals + "00")[:2], 10, 64)
	return fen, err == nil && fen >= 1 && fen <= maxFen
}

// parseOrder checks the fields of page.pay and wap.pay; now is business time,
// and sellerID the only seller that the app collects for.
func parseOrder(p params, biz fields, sellerID string, now time.Time) (order, *failure) {
	texts := map[string]string{}
	for _, name := range []string{
		"out_trade_no", "total_amount", "subject", "body", "product_code", "seller_id",
		"time_expire", "timeout_express", "passback_params", "quit_url",
	} {
		text, refused := biz.text(name)
		if refused != nil {
			return order{}, refused
		}
		texts[name] = text
	}
	fen, ok := parseYuan(texts["total_amount"])
	if !ok {
		return order{}, badField("total_amount", "0.01至100000000，至多两位小数")
	}
	if refused := checkTexts(p["method"], texts, sellerID); refused != nil {
		return order{}, refused
	}
	deadline, refused := parseDeadline(texts["time_expire"], texts["timeout_express"], p["method"] == methodWapPay, now)
	if refused != nil {
		return order{}, refused
	}
	return order{
		Method: p["method"], OutTradeNo: texts["out_trade_no"], Fen: fen, Subject: texts["subject"], Body: texts["body"],
		Passback: texts["passback_params"], QuitURL: texts["quit_url"], NotifyURL: p["notify_url"], ReturnURL: p["return_url"],
		SignType: signType(p["sign_type"]), Deadline: deadline,
	}, nil
}

func checkTexts(method string, texts map[string]string, sellerID string) *failure {
	subject := texts["subject"]
	switch {
	case !outTradeNoForm.MatchString(texts["out_trade_no"]):
		return badField("out_trade_no", "1至64位字母、数字、下划线")
	case subject == "" || utf8.RuneCountInString(subject) > maxSubject:
		return badField("subject", "必填，至多256个字符")
	case strings.ContainsAny(subject, "/=&"):
		return badField("subject", "不可使用特殊字符 / = &")
	case utf8.RuneCountInString(texts["body"]) > maxBody:
		return badField("body", "至多128个字符")
	case !slices.Contains(productCodes[method], texts["product_code"]):
		return badField("product_code", "与接口不符")
	case texts["seller_id"] != "" && texts["seller_id"] != sellerID:
		return badField("seller_id", "不是签约商户")
	case utf8.RuneCountInString(texts["passback_params"]) > maxPassback:
		return badField("passback_params", "至多512个字符")
	case texts["quit_url"] != "" && !isWebURL(texts["quit_url"], maxQuitURL):
		return badField("quit_url", "应为http或https地址，至多400个字符")
	}
	return nil
}

func isWebURL(text string, limit int) bool {
	u, err := url.Parse(text)
	return err == nil && len(text) <= limit && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// parseDeadline: time_expire wins over timeout_express; a timeout counts from
// now, the moment the cashier is shown first.
func parseDeadline(expire, timeout string, isWap bool, now time.Time) (time.Time, *failure) {
	span, ok := parseTimeout(timeout, now)
	if !ok {
		return time.Time{}, badField("timeout_express", "取值1m至15d，或1c")
	}
	if expire == "" {
		return now.Add(span), nil
	}
	deadline, ok := parseTime(wireTime, expire)
	if !ok && isWap {
		deadline, ok = parseTime(wireTimeMinute, expire)
	}
	if !ok {
		return time.Time{}, badField("time_expire", "格式为yyyy-MM-dd HH:mm:ss")
	}
	return deadline, nil
}

func parseTimeout(text string, now time.Time) (time.Duration, bool) {
	switch text {
	case "":
		return maxTimeout, true
	case "1c": // the end of today
		day := now.In(beijing)
		return time.Date(day.Year(), day.Month(), day.Day()+1, 0, 0, 0, 0, beijing).Sub(now), true
	}
	found := timeoutForm.FindStringSubmatch(text)
	if found == nil {
		return 0, false
	}
	units := map[string]time.Duration{"m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	count, err := strconv.Atoi(found[1])
	span := time.Duration(count) * units[found[2]]
	return span, err == nil && span >= minTimeout && span <= maxTimeout
}
