package wechatv3

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/keys"
	"piaohao/internal/strict"
)

// Times of downloads. The platform lists a certificate a day before it signs with it, at the least (获取平台证书列表), and
// wants to be asked more often than each 12 hours.
const (
	refreshEvery  = 6 * time.Hour
	refreshRarely = 24 * time.Hour   // for a merchant number that has no certificates; it may get some only by leaving public key mode
	refreshAgain  = 10 * time.Minute // after a list that lacked one that we hold
	retryFirst    = time.Minute      // after a failure, doubled up to
	retryLongest  = time.Hour

	// withdrawnGrace is how long a certificate is still taken after a list came without it. Signatures are good for 5
	// minutes, so that nothing honest needs it longer than that; the rest is for a list by a backend that lags behind,
	// which refreshAgain finds out meanwhile, because without its certificate every answer would look forged for hours.
	withdrawnGrace = time.Hour

	maxListed = 16 // certificates; two are valid at once
)

const (
	codeNoCertificate = "no_certificate"
	textNoCertificate = "no platform certificate is known yet, so that nothing of the platform's can be verified; it is downloaded soon"
)

// noneCodes say that a merchant number has no certificates and uses the public key (微信支付公钥; older: NOT_FOUND).
var noneCodes = codes{
	"RESOURCENOTEXISTS": {kind: channel.Declined},
	"NOTFOUND":          {kind: channel.Declined},
}

var limitCodes = codes{
	"RATELIMITEXCEEDED": {kind: channel.Limited},
	"FREQUENCYLIMITED":  {kind: channel.Limited},
}

// certificateList is the answer of GET /v3/certificates (获取平台证书列表).
type certificateList struct {
	Data []struct {
		SerialNo    string   `json:"serial_no"`
		Certificate resource `json:"encrypt_certificate"`
	} `json:"data"`
}

// Refresh downloads the platform's certificates when it is time. With a public key they are asked for too: while a
// merchant number moves from certificates to the public key, notices are signed with either.
func (c *client) Refresh(ctx context.Context) (time.Time, error) {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	if c.env.Now().Before(c.due) {
		return c.due, nil
	}
	wait, err := c.download(ctx)
	if err != nil {
		wait = retryFirst << min(c.failed, 6) // 64 minutes: beyond retryLongest
		wait = min(wait, retryLongest)
		var e *channel.Error
		if errors.As(err, &e) {
			wait = max(wait, e.RetryAfter)
		}
		c.failed++
	} else {
		c.failed = 0
	}
	c.due = c.env.Now().Add(wait)
	return c.due, err
}

// download asks once and returns when to ask again.
func (c *client) download(ctx context.Context) (time.Duration, error) {
	const op = "refresh"
	req, err := c.request(ctx, http.MethodGet, "/v3/certificates", nil)
	if err != nil {
		return 0, &channel.Error{Kind: channel.Unknown, Op: op, Code: "request", Text: "the request could not be made", Cause: err}
	}
	answer, err := c.env.Call(op, req, c.backup...)
	if err != nil {
		return 0, err
	}
	c.watchClock(answer.Header)
	if answer.Status == http.StatusOK {
		return c.adoptList(op, answer)
	}
	no := read(answer.Body)
	if no.Code == "" {
		no.Code = "unreadable"
	}
	e := fail(op, limitCodes.of(no.Code).kind, no.Code, no.Message)
	e.RequestID = clean(answer.Header.Get("Request-Id"))
	switch {
	case answer.Status == http.StatusTooManyRequests:
		e.Kind, e.RetryAfter = channel.Limited, retryAfter(answer.Header)
	case answer.Status != http.StatusNotFound || noneCodes.of(no.Code).kind != channel.Declined:
	case c.peerID == "":
		e.Code = codeNoCertificate
		e.Text = "this merchant number has no platform certificate; set WECHAT_PUBLIC_KEY_ID and WECHAT_PUBLIC_KEY from the merchant console"
	default:
		if c.verify(op, channel.Unknown, *c.known.Load(), answer.Header, answer.Body) == nil {
			c.adopt(nil, nil) // a list without any: those that we hold are withdrawn
		}
		return refreshRarely, nil
	}
	return 0, e
}

// adoptList verifies a list and makes its certificates known.
//
// The list may be signed by a certificate that is only in it: at first, and after one was replaced at once. What proves a
// certificate is that it decrypts under the APIv3 key, which the platform and the merchant alone have, in a cipher that
// authenticates; the signature then proves that the list is of this minute and no old one played again. A key of the
// merchant's own never counts, so that nobody but the platform can have signed.
func (c *client) adoptList(op string, answer channel.Answer) (time.Duration, error) {
	requestID := clean(answer.Header.Get("Request-Id"))
	var list certificateList
	if err := strict.Decode(answer.Body, &list); err != nil {
		return 0, unreadable(op, requestID, err)
	}
	if len(list.Data) > maxListed {
		return 0, unreadable(op, requestID, errors.New("more than 16 certificates"))
	}
	now := c.env.Now()
	listed, found := map[string]bool{}, peers{}
	var fault error
	for _, item := range list.Data {
		id := canonical(item.SerialNo)
		if listed[id] {
			return 0, unreadable(op, requestID, errors.New("one serial number twice"))
		}
		listed[id] = true
		p, err := c.open(item.SerialNo, item.Certificate, now)
		if err != nil {
			fault = err
			c.env.Log.Warn("a listed platform certificate is not used", slog.String("code", "certificate_unfit"),
				slog.String("account", c.env.Account.ID), slog.String("serial", clean(item.SerialNo)), slog.Any("cause", err))
			continue
		}
		found[id] = p
	}
	if len(found) == 0 {
		e := fail(op, channel.Unknown, codeNoCertificate, "the platform lists no certificate that can be used")
		if errors.Is(fault, errUnsealed) {
			e.Code, e.Text = "api_v3_key", "the listed certificates do not decrypt: WECHAT_API_V3_KEY is not the APIv3 key that is set in the merchant console"
		}
		e.RequestID, e.Cause = requestID, fault
		return 0, e
	}
	signers := maps.Clone(*c.known.Load())
	maps.Copy(signers, found) // over a certificate that somebody pasted
	if e := c.verify(op, channel.Unknown, signers, answer.Header, answer.Body); e != nil {
		e.RequestID = requestID
		return 0, e
	}
	if c.adopt(listed, found) {
		return refreshAgain, nil
	}
	return refreshEvery, nil
}

// adopt replaces what is known: found, the public key, and for withdrawnGrace what is not in listed any more. It reports
// whether there is any of that.
func (c *client) adopt(listed map[string]bool, found peers) (withdrawn bool) {
	now := c.env.Now()
	next := maps.Clone(found)
	if next == nil {
		next = peers{}
	}
	for id, p := range *c.known.Load() {
		if _, ok := next[id]; ok || !p.until.IsZero() && !now.Before(p.until) {
			continue
		}
		if !p.until.IsZero() && !listed[id] {
			withdrawn = true
			if last := now.Add(withdrawnGrace); last.Before(p.until) {
				p.until = last
			}
		}
		next[id] = p
	}
	c.known.Store(&next)
	return withdrawn
}

// open decrypts and judges one listed certificate. One that begins later is fine: it is not used before.
func (c *client) open(serial string, sealed resource, now time.Time) (peer, error) {
	if sealed.AssociatedData != "certificate" {
		return peer{}, errors.New("associated_data is not certificate")
	}
	text, err := unseal(c.aead, sealed)
	if err != nil {
		return peer{}, err
	}
	found, err := keys.Parse(string(text))
	switch {
	case err != nil:
		return peer{}, err
	case found.Kind != keys.Certificate || len(found.Certificates) != 1:
		return peer{}, errors.New("is not one certificate")
	}
	cert := found.Certificates[0]
	switch {
	case canonical(serialOf(cert)) != canonical(serial):
		return peer{}, errors.New("has another serial number than the list says")
	case merchants(cert, found.Public, c.key):
		return peer{}, errors.New("is a merchant's")
	case !now.Before(cert.NotAfter):
		return peer{}, errors.New("has expired")
	}
	p := peerOf(cert, found.Public)
	p.id = serial
	return p, nil
}
