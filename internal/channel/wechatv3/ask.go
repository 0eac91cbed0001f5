package wechatv3

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

const (
	userAgent = "piaohao (" + name + ")" // the platform refuses requests without one (接口规则)

	warnSkew  = 2 * time.Minute  // of the platform's Date: well before signatures fail at 5
	warnEvery = 10 * time.Minute // between two such warnings

	maxRetryAfter = 10 * time.Minute
	maxText       = 200 // bytes of the platform's message, code or request id that we repeat
)

// said is what a signed error code means: a state of the order, or a kind of error.
type said struct {
	state pay.State
	kind  channel.Kind
}

// codes maps error codes, without their underscores, because older pages and answers have none (ORDERNOTEXIST). A
// code that is not listed is Unknown.
type codes map[string]said

func (c codes) of(code string) said {
	if s, ok := c[strings.ReplaceAll(code, "_", "")]; ok {
		return s
	}
	return said{kind: channel.Unknown}
}

// ask sends one signed request and returns the body of the platform's signed answer of status ok. Any other signed
// answer is an error whose meaning table knows, or that state when the table says so; whatever is not signed by
// the platform is Unknown, whatever it says. Before any key of the platform's is known nothing is sent, because no answer
// could be verified: the due row asks again.
func (c *client) ask(ctx context.Context, op, method, target string, body []byte, ok int, table codes) ([]byte, pay.State, error) {
	known := *c.known.Load()
	if _, ok := known.preferred(c.env.Now()); !ok {
		return nil, "", fail(op, channel.Unknown, codeNoCertificate, textNoCertificate)
	}
	req, err := c.request(ctx, method, target, body)
	if err != nil {
		return nil, "", &channel.Error{Kind: channel.Unknown, Op: op, Code: "request", Text: "the request could not be made", Cause: err}
	}
	answer, err := c.env.Call(op, req, c.backup...)
	if err != nil {
		return nil, "", err
	}
	c.watchClock(answer.Header)
	known = *c.known.Load() // a download may have come in between
	requestID := clean(answer.Header.Get("Request-Id"))
	if e := c.verify(op, channel.Unknown, known, answer.Header, answer.Body); e != nil {
		e.RequestID = requestID
		e.Text += fmt.Sprintf(" (HTTP %d %s)", answer.Status, read(answer.Body).Code)
		if answer.Status == http.StatusTooManyRequests { // says nothing of the order, so backing off needs no proof
			e.Kind, e.RetryAfter = channel.Limited, retryAfter(answer.Header)
		}
		return nil, "", e
	}
	if answer.Status == ok {
		return answer.Body, "", nil
	}
	no := read(answer.Body)
	meaning := table.of(no.Code)
	if meaning.state != "" {
		return nil, meaning.state, nil
	}
	e := fail(op, meaning.kind, no.Code, no.Message)
	e.RequestID = requestID
	if e.Kind == channel.Limited {
		e.RetryAfter = retryAfter(answer.Header)
	}
	return nil, "", e
}

func (c *client) request(ctx context.Context, method, target string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	auth, err := c.authorization(method, req.URL.RequestURI(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", auth)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if signer, ok := c.known.Load().preferred(c.env.Now()); ok {
		req.Header.Set("Wechatpay-Serial", signer.id) // asks the platform to sign its answer with this key
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// refusal is the body of an error answer (接口规则, 错误码和错误提示).
type refusal struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// read returns what an error answer says, cleaned for logs; nothing when it cannot be read, and no code table has
// an entry for that.
func read(body []byte) refusal {
	var no refusal
	if strict.Decode(body, &no) != nil {
		return refusal{Code: "unreadable"}
	}
	return refusal{clean(no.Code), clean(no.Message)}
}

func unreadable(op, requestID string, cause error) *channel.Error {
	return &channel.Error{
		Kind: channel.Unknown, Op: op, Code: "unreadable", Text: "the platform's signed answer cannot be read",
		RequestID: requestID, Cause: cause,
	}
}

// watchClock warns when our clock and the platform's differ, before signatures begin to fail.
func (c *client) watchClock(h http.Header) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return
	}
	now := c.env.Now()
	skew := now.Sub(date).Round(time.Second)
	last := c.warned.Load()
	if skew.Abs() <= warnSkew || now.Sub(time.Unix(last, 0)) < warnEvery || !c.warned.CompareAndSwap(last, now.Unix()) {
		return
	}
	c.env.Log.Warn("our clock differs from the platform's; set it by NTP, signatures fail from 5 minutes on",
		slog.String("code", "clock_skew"), slog.String("account", c.env.Account.ID), slog.Duration("ahead", skew))
}

// retryAfter reads the header in seconds; 0 when there is none.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// clean makes a text of the platform fit for a log: printable, at most maxText bytes.
func clean(s string) string {
	return cut(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s), maxText)
}
