package alipaysim

import (
	"errors"
	"net/http"
	"strings"

	"piaohao/internal/sim/simkit"
)

// The methods that the gateway knows.
const (
	methodPagePay = "alipay.trade.page.pay"
	methodWapPay  = "alipay.trade.wap.pay"
	methodQuery   = "alipay.trade.query"
	methodClose   = "alipay.trade.close"
	methodCert    = "alipay.open.app.alipaycert.download"
)

// call is one request after the common checks. Before they are through it holds
// what the reply needs: charset, signature type, and whether the app is known.
type call struct {
	raw      params // in the bytes of the charset
	text     params
	charset  charset
	signType signType
	appKnown bool
}

func (c call) method() string { return c.raw["method"] }

// serveGateway is /gateway.do: GET, form POST and multipart POST alike.
func (s *Sim) serveGateway(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "the gateway takes GET and POST", http.StatusMethodNotAllowed)
		return
	}
	raw, err := readParams(r)
	if errors.Is(err, errTooLarge) {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the request's body cannot be read", http.StatusBadRequest)
		return
	}
	c, refused := s.check(raw)
	switch c.method() {
	case methodPagePay, methodWapPay:
		s.browse(w, r, c, refused)
	default:
		s.answer(w, c, refused)
	}
}

// check does the common checks. The app is looked up before anything else: an
// unsigned request of an unknown app is told invalid-app-id. Of the order of
// the rest only that is documented; here what is missing comes first, then
// what is malformed, and the signature last.
func (s *Sim) check(raw params) (call, *failure) {
	c := call{raw: raw, charset: utf8Charset, signType: rsa2}
	if asked, ok := parseCharset(raw["charset"]); ok {
		c.charset = asked
	}
	if raw["app_id"] == "" {
		return c, missing("app-id")
	}
	if raw["app_id"] != s.credentials.AppID {
		return c, invalid("app-id", "")
	}
	c.appKnown = true
	if refused := checkPresent(raw); refused != nil {
		return c, refused
	}
	if refused := s.checkCertificates(raw); refused != nil {
		return c, refused
	}
	if refused := s.checkForm(raw); refused != nil {
		return c, refused
	}
	c.signType = signType(raw["sign_type"])
	return s.checkSignature(c)
}

func checkPresent(raw params) *failure {
	for _, each := range []struct{ name, subCode string }{
		{"method", "method"},
		{"sign_type", "signature-type"},
		{"sign", "signature"},
		{"timestamp", "timestamp"},
		{"version", "version"},
	} {
		if raw[each.name] == "" {
			return missing(each.subCode)
		}
	}
	return nil
}

func (s *Sim) checkForm(raw params) *failure {
	_, charsetKnown := parseCharset(raw["charset"])
	_, timeGood := parseTime(wireTime, raw["timestamp"])
	switch {
	case !isMethod(raw["method"]):
		return invalid("method", "")
	case !charsetKnown:
		return invalid("charset", "charset应为utf-8或gbk")
	case !s.takes(signType(raw["sign_type"])):
		return invalid("signature-type", "应用的签名类型为RSA2")
	case !timeGood:
		return invalid("timestamp", "格式为yyyy-MM-dd HH:mm:ss")
	case raw["version"] != "1.0":
		return invalid("parameter", "version应为1.0")
	case raw["format"] != "" && !strings.EqualFold(raw["format"], "json"):
		return invalid("format", "format应为JSON")
	case raw["encrypt_type"] != "":
		return invalid("encrypt-type", "应用未设置接口内容加密")
	}
	for _, name := range []string{"notify_url", "return_url"} {
		if raw[name] != "" && !isWebURL(raw[name], maxURL) {
			return invalid("parameter", name+"应为http或https地址，至多256个字符")
		}
	}
	return nil
}

// takes tells whether the app is set to this signature type.
func (s *Sim) takes(t signType) bool {
	return t == rsa2 || t == rsa1 && s.faults.Load().TakesRSA
}

func isMethod(name string) bool {
	switch name {
	case methodPagePay, methodWapPay, methodQuery, methodClose, methodCert, methodRefund, methodRefundQuery:
		return true
	}
	return false
}

// checkSignature verifies over the bytes as they came, then reads them as text.
// The refusal tells the text that the gateway built, as the platform's does.
func (s *Sim) checkSignature(c call) (call, *failure) {
	signed := c.raw.canonical("sign")
	text, readable := c.raw.decode(c.charset)
	if !readable || !verify(&s.appKey.PublicKey, c.signType, signed, c.raw["sign"]) {
		built, _ := c.charset.decode(signed)
		return c, invalid("signature", "建议检查签名字符串或签名私钥与应用公钥是否匹配，网关生成的验签字符串为："+strings.ToValidUTF8(built, "?"))
	}
	c.text = text
	return c, nil
}

// answer runs a server method and writes its signed reply, under the faults
// that the call meets.
func (s *Sim) answer(w http.ResponseWriter, c call, refused *failure) {
	fate := s.kit.Faults.Call()
	var n node
	switch {
	case refused != nil: // the common checks said no
	case fate.RateLimited:
		refused = &failure{code: "40005", subCode: "isv.app-call-limited"}
	case fate.FailBefore:
		refused = unknownResult()
	default:
		n, refused = s.run(c)
	}
	if fate.LoseAnswer {
		simkit.LoseAnswer()
	}
	if refused == nil && (s.faults.Load().UnknownResult || fate.FailAfter) {
		refused, n = unknownResult(), nil
	}
	if refused != nil {
		s.refusals.add(s.kit.Wall(), c.raw, refused)
		n = refusal(refused, n)
	}
	name := "error_response"
	if isMethod(c.method()) {
		name = nodeName(c.method())
	}
	if err := s.write(w, c, name, n, fate.Probe); err != nil {
		s.fail(w, err)
	}
}

// fail is the simulator's own fault, never the platform's answer.
func (s *Sim) fail(w http.ResponseWriter, err error) {
	s.kit.Log.Error("alipay simulator", "error", err)
	http.Error(w, "the simulator failed; its log says why", http.StatusInternalServerError)
}

func (s *Sim) run(c call) (node, *failure) {
	biz, refused := parseBiz(c.text["biz_content"])
	if refused != nil {
		return nil, refused
	}
	switch c.method() {
	case methodCert:
		return s.download(biz)
	case methodRefund:
		return s.refund(biz)
	case methodRefundQuery:
		return s.refundQuery(biz)
	}
	ref, refused := parseRef(biz)
	if refused != nil {
		return nil, refused
	}
	if c.method() == methodClose {
		return s.closeTrade(ref)
	}
	return s.query(ref)
}

// write signs the node's text exactly as it is sent, in the bytes of the
// request's charset; a reply to an unknown app is not signed. The faults that
// a client must survive are the only exceptions; a probe is signed wrongly.
func (s *Sim) write(w http.ResponseWriter, c call, name string, n node, probe bool) error {
	faults := s.faults.Load()
	raw, err := n.encode()
	if err != nil {
		return err
	}
	sent, signed := raw, raw
	if faults.EscapedSlash || faults.SlashSignedPlain {
		sent = escapeSlashes(raw)
	}
	if faults.EscapedSlash {
		signed = sent
	}
	isSuccess := n["code"] == "10000"
	inBytes := c.charset
	if !isSuccess && faults.GBKErrors {
		inBytes = gbkCharset
	}
	var signature string
	if c.appKnown && !(isSuccess && faults.UnsignedSuccess) {
		if probe {
			signed += " "
		}
		if signature, err = sign(s.platformKey, c.signType, inBytes.encode(signed)); err != nil {
			return err
		}
	}
	body := layout(name, sent, s.certSN(), signature)
	if faults.DuplicateNode {
		body = duplicateNode(name, sent, body)
	}
	w.Header().Set("Content-Type", "text/html;charset="+string(c.charset))
	_, _ = w.Write([]byte(inBytes.encode(body))) //nolint:gosec // JSON for a program, as the platform labels it; a failed write is the client's hang-up
	return nil
}

// duplicateNode is the attack on clients that verify one node and read
// another: a second node of the same name, paid, behind the signed one.
func duplicateNode(name, raw, body string) string {
	forged := strings.NewReplacer("WAIT_BUYER_PAY", "TRADE_SUCCESS", "TRADE_CLOSED", "TRADE_SUCCESS").Replace(raw)
	return strings.TrimSuffix(body, "}") + `,"` + name + `":` + forged + "}"
}
