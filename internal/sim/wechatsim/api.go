package wechatsim

import (
	"io"
	"net/http"
	"net/url"
	"strings"

	"piaohao/internal/sim/simkit"
)

const (
	maxBody  = 64 << 10 // bytes of a request
	basePath = "/v3/pay/transactions/"
	codePath = "weixin://wxpay/bizpayurl?pr="
)

// call is one request as it came over the wire.
type call struct {
	method string
	target string // path and query, percent-encoding kept
	path   string // percent-encoding kept
	query  string
	header http.Header
	body   []byte
}

// ServeHTTP answers one call.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	by := s.answerSigner(r.Header.Get("Wechatpay-Serial"))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.write(w, by, refusal(paramError("body", "", "", "请求体过大或不完整")), false)
		return
	}
	c := call{
		method: r.Method, target: r.RequestURI, path: r.URL.EscapedPath(), query: r.URL.RawQuery, header: r.Header, body: body,
	}
	if !strings.HasPrefix(c.target, "/") { // in-process callers set none; proxies send the absolute form
		c.target = r.URL.RequestURI()
	}
	if refused := s.admit(c); refused != nil {
		s.write(w, by, refusal(refused), false)
		return
	}
	fate := s.kit.Faults.Call()
	switch {
	case fate.RateLimited:
		s.write(w, by, refusal(errTooOften), false)
		return
	case fate.FailBefore:
		s.write(w, by, refusal(errSystem), false)
		return
	}
	a, refused, err := s.route(c)
	switch {
	case fate.LoseAnswer:
		simkit.LoseAnswer()
	case err != nil:
		s.kit.Log.Error("wechatsim: call failed", "path", c.path, "error", err)
		s.write(w, by, refusal(errSystem), false)
	case fate.FailAfter:
		s.write(w, by, refusal(errSystem), false)
	case refused != nil:
		s.write(w, by, refusal(refused), fate.Probe)
	default:
		s.write(w, by, a, fate.Probe)
	}
}

// admit checks what holds for every call: headers, signature, the key asked for (签名生成, 微信支付公钥).
func (s *Sim) admit(c call) *apiError {
	accept := c.header.Get("Accept")
	if c.header.Get("User-Agent") == "" || !strings.Contains(accept, "application/json") && !strings.Contains(accept, "*/*") {
		return &apiError{
			Status: http.StatusBadRequest, Internal: internalParam, Code: "PARAM_ERROR", Message: "Http头缺少Accept或User-Agent",
			Detail: &detail{Field: "Accept, User-Agent", Location: "header"},
		}
	}
	media, _, _ := strings.Cut(c.header.Get("Content-Type"), ";")
	if len(c.body) > 0 && !strings.EqualFold(strings.TrimSpace(media), "application/json") {
		return paramError("header", "Content-Type", media, "Content-Type应为application/json")
	}
	if refused := s.verify(c); refused != nil {
		return refused
	}
	if serial := c.header.Get("Wechatpay-Serial"); serial != "" && !s.knows(serial) {
		return paramError("header", "Wechatpay-Serial", serial, "微信支付公钥ID或平台证书序列号不存在")
	}
	return nil
}

func (s *Sim) route(c call) (answer, *apiError, error) {
	switch {
	case c.method == http.MethodPost && c.path == basePath+"native":
		return s.serveNative(c)
	case c.method == http.MethodPost && (c.path == basePath+"jsapi" || c.path == basePath+"h5" || c.path == basePath+"app"):
		return answer{}, errNoProduct, nil
	case c.method == http.MethodGet && c.path == certificatesPath:
		return s.serveCertificates(c)
	}
	if id, ok := strings.CutPrefix(c.path, basePath+"id/"); ok && c.method == http.MethodGet {
		return s.serveQuery(c, id, s.orderByTransaction)
	}
	if rest, ok := strings.CutPrefix(c.path, refundsPath); ok {
		return s.serveRefunds(c, rest)
	}
	number, ok := strings.CutPrefix(c.path, basePath+"out-trade-no/")
	if !ok {
		return answer{}, errNoSuchURL, nil
	}
	if c.method == http.MethodGet {
		return s.serveQuery(c, number, s.order)
	}
	if number, ok = strings.CutSuffix(number, "/close"); ok && c.method == http.MethodPost {
		return s.serveClose(c, number)
	}
	return answer{}, errNoSuchURL, nil
}

func (s *Sim) serveNative(c call) (answer, *apiError, error) {
	if refused := noQuery(c.query); refused != nil {
		return answer{}, refused, nil
	}
	doc, refused := parseBody(c.body, nativeFields)
	if refused != nil {
		return answer{}, refused, nil
	}
	if doc["mchid"] != s.credentials.MerchantID {
		return answer{}, errMerchantDiffer, nil
	}
	if doc["appid"] != s.credentials.AppID {
		return answer{}, errAppIDDiffer, nil
	}
	o, err := newOrder(doc, s.kit.Clock.Now())
	if err != nil {
		return answer{}, nil, err
	}
	pr, err := s.kit.Text(simkit.AlphaNum, 9)
	if err != nil {
		return answer{}, nil, err
	}
	why, err := s.place(o, pr)
	return answer{status: http.StatusOK, body: map[string]string{"code_url": codePath + pr}}, troubles[why], err
}

func (s *Sim) serveQuery(c call, escaped string, find func(string) (order, bool, error)) (answer, *apiError, error) {
	number, err := url.PathUnescape(escaped)
	if err != nil || strings.Contains(number, "/") {
		return answer{}, errNoSuchURL, nil
	}
	if refused := s.merchantQuery(c.query); refused != nil {
		return answer{}, refused, nil
	}
	o, found, err := find(number)
	if err != nil {
		return answer{}, nil, err
	}
	if !found {
		return answer{}, errOrderNotExist, nil
	}
	return answer{status: http.StatusOK, body: s.object(o, s.kit.Clock.Now())}, nil, nil
}

func (s *Sim) serveClose(c call, escaped string) (answer, *apiError, error) {
	number, err := url.PathUnescape(escaped)
	if err != nil || strings.Contains(number, "/") {
		return answer{}, errNoSuchURL, nil
	}
	if refused := noQuery(c.query); refused != nil {
		return answer{}, refused, nil
	}
	doc, refused := parseBody(c.body, closeFields)
	if refused != nil {
		return answer{}, refused, nil
	}
	if doc["mchid"] != s.credentials.MerchantID {
		return answer{}, errMerchantDiffer, nil
	}
	why, err := s.close(number)
	if why == orderClosed { // closing it again changes nothing
		why = noTrouble
	}
	return answer{status: http.StatusNoContent}, troubles[why], err
}

// merchantQuery demands exactly ?mchid= with our number.
func (s *Sim) merchantQuery(raw string) *apiError {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return paramError("query", "", raw, "查询参数格式错误")
	}
	given := values["mchid"]
	if len(given) != 1 {
		return paramError("query", "mchid", strings.Join(given, ","), "mchid必填且只能出现一次")
	}
	for name := range values {
		if name != "mchid" {
			return extraParam("query", name)
		}
	}
	if issue := checkMerchantID(given[0]); issue != "" {
		return paramError("query", "mchid", given[0], issue)
	}
	if given[0] != s.credentials.MerchantID {
		return errMerchantDiffer
	}
	return nil
}

func noQuery(raw string) *apiError {
	if raw != "" {
		return extraParam("query", raw)
	}
	return nil
}
