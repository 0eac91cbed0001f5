package wechatv3

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"piaohao/internal/channel"
)

const (
	scheme        = "WECHATPAY2-SHA256-RSA2048" // of our signatures and theirs
	maxSkew       = 5 * time.Minute             // of a signed message's timestamp, both ways (签名验证)
	maxHeaderSize = 1024                        // bytes; a signature by RSA-4096 has 684
)

// authorization makes the Authorization header of a request (签名生成, 如何构造接口请求签名). target is path and
// query as they go over the wire.
func (c *client) authorization(method, target string, body []byte) (string, error) {
	var random [16]byte
	if _, err := io.ReadFull(c.env.Random, random[:]); err != nil {
		return "", err
	}
	nonce := hex.EncodeToString(random[:])
	timestamp := strconv.FormatInt(c.env.Now().Unix(), 10)
	sum := digest(body, method, target, timestamp, nonce)
	signature, err := rsa.SignPKCS1v15(nil, c.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	header := make([]byte, 0, 640) // 540 with RSA-2048
	header = append(header, scheme...)
	header = append(append(header, ` mchid="`...), c.env.Account.MerchantID...)
	header = append(append(header, `",nonce_str="`...), nonce...)
	header = append(append(header, `",timestamp="`...), timestamp...)
	header = append(append(header, `",serial_no="`...), c.serial...)
	header = append(header, `",signature="`...)
	header = base64.StdEncoding.AppendEncode(header, signature)
	return string(append(header, '"')), nil
}

// digest hashes the signed text: each line and then the body, all of them ended by LF.
func digest(body []byte, lines ...string) [sha256.Size]byte {
	text := make([]byte, 0, 512)
	for _, line := range lines {
		text = append(append(text, line...), '\n')
	}
	h := sha256.New()
	h.Write(text)
	h.Write(body)
	h.Write([]byte{'\n'})
	var sum [sha256.Size]byte
	h.Sum(sum[:0])
	return sum
}

// verify checks that the platform signed body within the last minutes. kind is that of the error. The algorithm is
// ours, whatever the message names; the key is the one of known that it names, and nothing is fetched for it. A probe (a
// signature that begins with WECHATPAY/SIGNTEST/) fails like any other wrong signature.
func (c *client) verify(op string, kind channel.Kind, known peers, h http.Header, body []byte) *channel.Error {
	var value [4]string
	for i, header := range [...]string{"Wechatpay-Serial", "Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature"} {
		var code string
		if value[i], code = one(h, header); code != "" {
			return fail(op, kind, code, header+" must be there once, in plain ASCII")
		}
	}
	serial, timestamp, nonce, signature := value[0], value[1], value[2], value[3]
	if len(h["Wechatpay-Signature-Type"]) > 0 { // the documentation does not list it, the platform sends it
		if got, code := one(h, "Wechatpay-Signature-Type"); code != "" || got != scheme {
			return fail(op, kind, "signature_type", "Wechatpay-Signature-Type is not "+scheme)
		}
	}
	signer, ok := known[canonical(serial)]
	switch {
	case len(known) == 0:
		return fail(op, kind, codeNoCertificate, textNoCertificate)
	case !ok && strings.HasPrefix(serial, peerIDPrefix):
		return fail(op, kind, "serial", "signed with a WeChat Pay public key that is not the one of WECHAT_PUBLIC_KEY_ID and WECHAT_PUBLIC_KEY")
	case !ok:
		return fail(op, kind, "serial", "signed with a platform certificate that is not among those the platform lists")
	case !signer.valid(c.env.Now()):
		return fail(op, kind, "expired", "signed with a platform certificate that has expired, was withdrawn or is not valid yet")
	}
	if !c.recent(timestamp) {
		return fail(op, kind, "timestamp", "Wechatpay-Timestamp is more than 5 minutes from our clock")
	}
	if !holds(signer.key, digest(body, timestamp, nonce), signature) {
		return fail(op, kind, "signature", "the signature does not fit")
	}
	return nil
}

// holds reports whether signature is the base64 signature of the text that hashes to sum.
func holds(key *rsa.PublicKey, sum [sha256.Size]byte, signature string) bool {
	raw, err := base64.StdEncoding.Strict().DecodeString(signature)
	return err == nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw) == nil
}

// recent reports whether the Unix seconds in text are within maxSkew of now.
func (c *client) recent(text string) bool {
	if len(text) > len("9999999999") || text[0] < '0' || text[0] > '9' { // no sign, no overflow
		return false
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return false
	}
	return c.env.Now().Sub(time.Unix(seconds, 0)).Abs() <= maxSkew
}

// one returns the value of a header that must occur exactly once, in printable ASCII without spaces; else the code
// of the fault.
func one(h http.Header, key string) (value, code string) {
	values := h[key]
	switch {
	case len(values) == 0:
		return "", "header_missing"
	case len(values) > 1:
		return "", "header_repeated"
	case values[0] == "" || len(values[0]) > maxHeaderSize:
		return "", "header_malformed"
	}
	for i := range len(values[0]) {
		if c := values[0][i]; c <= ' ' || c > '~' {
			return "", "header_malformed"
		}
	}
	return values[0], ""
}
