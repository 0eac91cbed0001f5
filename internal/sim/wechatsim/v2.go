package wechatsim

import (
	"errors"
	"io"
	"net/http"

	"piaohao/internal/sim/simkit"
)

// v2Interface answers one verified call: what follows result_code SUCCESS, or a refusal.
type v2Interface func(f fields) ([]element, *v2Refusal, error)

// v2Refusal is result_code FAIL (APIv2, 错误码 of each interface).
type v2Refusal struct{ code, text string }

// v2Broken is return_code FAIL (APIv2, 协议规则): the platform does not know to whom it speaks, so that nothing is signed.
type v2Broken string

// The texts of return_msg.
const (
	v2NotPost   v2Broken = "请使用post方法"
	v2Empty     v2Broken = "post数据为空"
	v2NotUTF8   v2Broken = "编码格式错误"
	v2NotXML    v2Broken = "XML格式错误"
	v2Lacks     v2Broken = "缺少参数"
	v2Merchant  v2Broken = "商户号mch_id不存在"
	v2Signature v2Broken = "签名错误"
)

// The refusals of every interface. LACK_PARAMS and PARAM_ERROR name the field in their text.
var (
	v2NoPair   = &v2Refusal{"APPID_MCHID_NOT_MATCH", "appid和mch_id不匹配"}
	v2NoAppID  = &v2Refusal{"APPID_NOT_EXIST", "APPID不存在"}
	v2TooOften = &v2Refusal{"FREQUENCY_LIMITED", "频率限制"}
	v2System   = &v2Refusal{"SYSTEMERROR", "系统超时"}
	v2NoAuth   = &v2Refusal{"NOAUTH", "商户无此接口权限"}
	v2Absent   = &v2Refusal{"ORDERNOTEXIST", "此交易订单号不存在"}
)

func v2Lack(name string) *v2Refusal { return &v2Refusal{"LACK_PARAMS", "缺少参数" + name} }

func v2Bad(name, issue string) *v2Refusal { return &v2Refusal{"PARAM_ERROR", name + issue} }

// serveV2 answers one call. The HTTP status is always 200 (APIv2, 协议规则).
func (s *Sim) serveV2(w http.ResponseWriter, r *http.Request, serve v2Interface) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.writeV2Broken(w, v2NotXML)
		return
	}
	f, t, broken := s.admitV2(r.Method, body)
	if broken != "" {
		s.writeV2Broken(w, broken)
		return
	}
	fate := s.kit.Faults.Call()
	switch {
	case fate.RateLimited:
		s.writeV2(w, t, nil, v2TooOften, false)
		return
	case fate.FailBefore && s.kit.Faults.Settings().UnsignedErrors:
		http.Error(w, "<html><h1>502 Bad Gateway</h1></html>", http.StatusBadGateway) // of what stands before the platform
		return
	case fate.FailBefore:
		s.writeV2(w, t, nil, v2System, false)
		return
	}
	found, refused, err := s.serveVerified(f, serve)
	if fate.LoseAnswer {
		simkit.LoseAnswer()
	}
	if err != nil {
		s.kit.Log.Error("wechatsim: call failed", "path", r.URL.Path, "error", err)
		refused = v2System
	}
	if fate.FailAfter {
		refused = v2System
	}
	s.writeV2(w, t, found, refused, fate.Probe)
}

// admitV2 checks what holds for every call, up to the signature.
func (s *Sim) admitV2(method string, body []byte) (fields, signType, v2Broken) {
	if method != http.MethodPost {
		return nil, "", v2NotPost
	}
	if len(body) == 0 {
		return nil, "", v2Empty
	}
	f, err := parseXML(body)
	if errors.Is(err, errNotUTF8) {
		return nil, "", v2NotUTF8
	}
	if err != nil {
		return nil, "", v2NotXML
	}
	for _, name := range []string{"appid", "mch_id", "nonce_str", "sign"} {
		if f[name] == "" {
			return nil, "", v2Lacks + v2Broken(name)
		}
	}
	if f["mch_id"] != s.credentials.MerchantID {
		return nil, "", v2Merchant
	}
	t, known := parseSignType(f["sign_type"])
	if !known || !f.signedBy(t, s.credentials.MchKey) {
		return nil, "", v2Signature
	}
	return f, t, ""
}

func (s *Sim) serveVerified(f fields, serve v2Interface) ([]element, *v2Refusal, error) {
	if !appIDForm.MatchString(f["appid"]) {
		return nil, v2NoAppID, nil
	}
	if f["appid"] != s.credentials.AppID {
		return nil, v2NoPair, nil
	}
	return serve(f)
}

// writeV2 answers a verified call, signed as the call was. A probe is signed wrongly.
func (s *Sim) writeV2(w http.ResponseWriter, t signType, found []element, refused *v2Refusal, probe bool) {
	nonce, err := s.kit.Text(simkit.AlphaNum, 16)
	if err != nil {
		s.fail(w, err)
		return
	}
	head := []element{
		{"return_code", "SUCCESS"},
		{"return_msg", "OK"},
		{"appid", s.credentials.AppID},
		{"mch_id", s.credentials.MerchantID},
		{"nonce_str", nonce},
	}
	rest := append([]element{{"result_code", "SUCCESS"}}, found...)
	if refused != nil {
		rest = []element{{"result_code", "FAIL"}, {"err_code", refused.code}, {"err_code_des", refused.text}}
	}
	f := fields{}
	for _, e := range append(append([]element{}, head...), rest...) {
		f[e.name] = e.value
	}
	if refused == nil || !s.kit.Faults.Settings().UnsignedErrors {
		head = append(head, element{"sign", s.signV2(f, t, probe)})
	}
	s.sendV2(w, append(head, rest...))
}

// signV2 signs with the merchant's key, or for a probe with another.
func (s *Sim) signV2(f fields, t signType, probe bool) string {
	key := s.credentials.MchKey
	if probe {
		key += "?"
	}
	return f.sign(t, key)
}

func (s *Sim) writeV2Broken(w http.ResponseWriter, why v2Broken) {
	s.sendV2(w, []element{{"return_code", "FAIL"}, {"return_msg", string(why)}})
}

func (s *Sim) sendV2(w http.ResponseWriter, message []element) {
	w.Header().Set("Date", s.kit.Wall().UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	_, _ = w.Write(writeXML(message)) // a failed write is the hang-up of who asked
}
