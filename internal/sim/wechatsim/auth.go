package wechatsim

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"piaohao/internal/sim/simkit"
)

const (
	scheme       = "WECHATPAY2-SHA256-RSA2048"
	window       = 5 * time.Minute // between the request's timestamp and our wall, either way
	maxNonce     = 128             // the documents name no limit; 32 is customary
	shownMessage = 512             // bytes of the signed text that a 401 shows
)

// authorization is the parsed header of that name.
type authorization struct {
	MerchantID, SerialNo, Nonce, Timestamp, Signature string
}

// verify checks who sent the call, over its raw bytes (签名生成, 签名相关常见问题).
func (s *Sim) verify(c call) *apiError {
	a, refused := parseAuthorization(c.header.Values("Authorization"))
	if refused != nil {
		return refused
	}
	seconds, err := strconv.ParseInt(a.Timestamp, 10, 64)
	if err != nil || strconv.FormatInt(seconds, 10) != a.Timestamp {
		return signError("timestamp", "Authorization不合法，timestamp必须是秒级时间戳", "timestamp is not decimal seconds")
	}
	if off := s.kit.Wall().Sub(time.Unix(seconds, 0)); off > window || off < -window {
		return signError("timestamp", "Http头Authorization中的timestamp与发起请求的时间不得超过5分钟",
			fmt.Sprintf("timestamp is %d seconds off", int64(off/time.Second)))
	}
	if a.MerchantID != s.credentials.MerchantID {
		return signError("mchid", "商户号不存在或未设置API证书", "merchant has no API certificate")
	}
	if a.SerialNo != s.credentials.SerialNo {
		return signError("serial_no", "商户证书序列号有误，请使用签名私钥匹配的证书序列号", "serial_no not match")
	}
	message := requestMessage(c.method, c.target, a.Timestamp, a.Nonce, c.body)
	if simkit.VerifyRSA(s.merchant, message, a.Signature) {
		return nil
	}
	refused = signError("signature", "错误的签名，验签失败", "sign not match")
	refused.Detail.Signed = &signedTexts{
		Method: c.method, URL: c.target, Length: len(message), Truncated: truncate(message, shownMessage),
	}
	return refused
}

// requestMessage is the text a merchant signs: five lines, each ended by a line feed, the body as it was sent.
func requestMessage(method, target, timestamp, nonce string, body []byte) []byte {
	var b bytes.Buffer
	for _, line := range []string{method, target, timestamp, nonce} {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	b.Write(body)
	b.WriteByte('\n')
	return b.Bytes()
}

// parseAuthorization reads the scheme and its five pairs, in any order.
func parseAuthorization(values []string) (authorization, *apiError) {
	malformed := func(issue string) (authorization, *apiError) {
		return authorization{}, signError("authorization", "Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》", issue)
	}
	if len(values) != 1 {
		return malformed("one Authorization header is required")
	}
	name, rest, _ := strings.Cut(values[0], " ")
	if name != scheme {
		return authorization{}, signError("authorization", "Http头Authorization认证类型不正确", "unknown authorization scheme")
	}
	var a authorization
	fields := map[string]*string{
		"mchid": &a.MerchantID, "serial_no": &a.SerialNo, "nonce_str": &a.Nonce, "timestamp": &a.Timestamp, "signature": &a.Signature,
	}
	pairs := strings.Split(rest, ",")
	if len(pairs) != len(fields) {
		return malformed("five pairs are required")
	}
	for _, pair := range pairs {
		key, quoted, _ := strings.Cut(strings.TrimSpace(pair), "=")
		field := fields[key]
		value, ok := unquote(quoted)
		if field == nil || *field != "" || !ok {
			return malformed("unknown, repeated, empty or unquoted key " + strconv.Quote(key))
		}
		*field = value
	}
	if len(a.Nonce) > maxNonce {
		return malformed("nonce_str is too long")
	}
	return a, nil
}

// unquote takes the double quotes off a value that is not empty and holds none itself.
func unquote(s string) (string, bool) {
	if len(s) < 3 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	return s, !strings.ContainsAny(s, "\"\\")
}

// truncate cuts on a character boundary.
func truncate(b []byte, most int) string {
	if len(b) <= most {
		return string(b)
	}
	for most > 0 && !utf8.RuneStart(b[most]) {
		most--
	}
	return string(b[:most])
}
