package wechatv2

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

const (
	userAgent = "piaohao (" + name + ")"
	maxText   = 200 // bytes of the platform's message or code that we repeat
	nonceSize = 32  // characters (nonce_str: String(32))
)

// said is what a signed err_code means: a state of the order, or a kind of error.
type said struct {
	state pay.State
	kind  channel.Kind
}

// codes maps err_code. One that is not listed is Unknown: SYSTEMERROR among them, and what a person can mend without a
// new order, such as SIGNERROR.
type codes map[string]said

// question is one request about a payment or a refund of an attempt.
type question struct {
	op, path string
	number   string      // ours, of what it is about
	fields   strict.Form // what it says beside identity, nonce and signature; none is empty
	table    codes
	proof    *http.Client // shows the merchant's certificate, nil = none is asked for
}

// ask asks about a's order, by our number.
func (c *client) ask(ctx context.Context, op, path string, a pay.Attempt, extra strict.Form, table codes) (strict.Form, pay.State, error) {
	return c.send(ctx, a, question{
		op: op, path: path, number: a.OutTradeNo, table: table,
		fields: append(strict.Form{{Name: "out_trade_no", Value: a.OutTradeNo}}, extra...),
	})
}

// send sends one signed request and returns the fields of the platform's signed answer, or the state that the question's
// table has for its err_code. Whatever is not signed by the platform in the attempt's own way is Unknown, whatever it
// says; return_code FAIL never is signed (协议规则).
func (c *client) send(ctx context.Context, a pay.Attempt, q question) (strict.Form, pay.State, error) {
	op := q.op
	variant := cmp.Or(a.Variant, c.variant)
	if variant != signMD5 && variant != signHMAC {
		return nil, "", fail(op, channel.Unknown, "variant", "the attempt was begun with a way to sign that is not known")
	}
	env, base := c.env, c.base
	if q.proof != nil {
		env.HTTP, base = q.proof, c.secure
	}
	body := c.request(variant, a, q)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+q.path, bytes.NewReader(body))
	if err != nil {
		return nil, "", &channel.Error{Kind: channel.Unknown, Op: op, Code: "request", Text: "the request could not be made", Cause: err}
	}
	req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	req.Header.Set("User-Agent", userAgent)
	answer, err := env.Call(op, req, c.backup...)
	if err != nil {
		return nil, "", err
	}
	switch answer.Status {
	case http.StatusOK: // of every answer of the platform's own
	case http.StatusTooManyRequests: // says nothing of the order, so backing off needs no proof
		return nil, "", fail(op, channel.Limited, "status", "HTTP 429")
	default:
		return nil, "", fail(op, channel.Unknown, "status", fmt.Sprintf("HTTP %d", answer.Status))
	}
	fields, err := c.proven(op, variant, answer.Body)
	if err != nil {
		return nil, "", err
	}
	if fields.Get("result_code") == "SUCCESS" {
		return fields, "", nil
	}
	code := clean(fields.Get("err_code"))
	switch meaning, known := q.table[code]; {
	case fields.Get("result_code") != "FAIL" || !known:
		return nil, "", fail(op, channel.Unknown, cmp.Or(code, "result_code"), clean(fields.Get("err_code_des")))
	case !c.ours(fields):
		return nil, "", strange(op)
	case meaning.state != "":
		return nil, meaning.state, nil
	default:
		return nil, "", fail(op, meaning.kind, code, clean(fields.Get("err_code_des")))
	}
}

// request is the signed body of a question about a. The nonce follows from key, path and number instead of chance: it is
// as unpredictable for others, and a repeat is the identical request (money rule 2).
func (c *client) request(variant string, a pay.Attempt, q question) []byte {
	mac := hmac.New(sha256.New, []byte(c.key.Reveal()))
	mac.Write([]byte("nonce_str\n" + q.path + "\n" + q.number))
	fields := append(strict.Form{
		{Name: "appid", Value: a.AppID},
		{Name: "mch_id", Value: a.MerchantID},
		{Name: "nonce_str", Value: strings.ToUpper(hex.EncodeToString(mac.Sum(nil)))[:nonceSize]},
		{Name: "sign_type", Value: variant},
	}, q.fields...)
	sortFields(fields)
	fields = append(fields, strict.Pair{Name: "sign", Value: string(c.sign(nil, variant, fields))})
	return message(fields)
}

// proven returns the fields of an answer that the platform signed in the way of variant, sorted.
func (c *client) proven(op, variant string, body []byte) (strict.Form, error) {
	fields, err := strict.ParseXML(body, "xml")
	if err != nil {
		return nil, &channel.Error{Kind: channel.Unknown, Op: op, Code: "unreadable", Text: "the platform's answer cannot be read", Cause: err}
	}
	if fields.Get("return_code") != "SUCCESS" {
		text := "the platform took no notice of the request, without a signature: " + clean(fields.Get("return_msg"))
		return nil, fail(op, channel.Unknown, "return_code", text)
	}
	code := unsplit(fields, "code_url") // which ends in a query, and is only shown
	if code == "" {
		code = c.holds(variant, fields)
	}
	if code == "" && fields.Get("nonce_str") == "" { // the platform always sends one: without it the text could be guessed
		code = "nonce_str"
	}
	if code != "" {
		return nil, fail(op, channel.Unknown, code, "the platform's answer is not signed as it must be")
	}
	return fields, nil
}

// ours reports whether a message names this account.
func (c *client) ours(fields strict.Form) bool {
	return fields.Get("appid") == c.env.Account.AppID && fields.Get("mch_id") == c.env.Account.MerchantID
}

func strange(op string) *channel.Error {
	return fail(op, channel.Unknown, "identity", "the platform's signed answer is about another account")
}

func unreadable(op, what string) *channel.Error {
	return fail(op, channel.Unknown, "unreadable", "the platform's signed answer cannot be read: "+what)
}
