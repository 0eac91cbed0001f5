package wechatsim

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/sim/simkit"
)

// inbox is a merchant's real notify URL: it keeps what came and answers as told.
type inbox struct {
	mu      sync.Mutex
	answer  func(w http.ResponseWriter)
	headers []http.Header
	bodies  []string
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.headers = append(i.headers, r.Header.Clone())
	i.bodies = append(i.bodies, string(body))
	i.answer(w)
}

func (i *inbox) reply(answer func(http.ResponseWriter)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = answer
}

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

func newInbox(t *testing.T, answer func(http.ResponseWriter)) (*inbox, string) {
	t.Helper()
	in := &inbox{answer: answer}
	server := httptest.NewServer(in)
	t.Cleanup(server.Close)
	return in, server.URL + "/payment/wechat/notify"
}

func TestNotice(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in, url := newInbox(t, status(http.StatusInternalServerError))
	paid := b.pay(b.place("notice-1", map[string]any{"notify_url": url, "attach": "mine"}), "p")
	b.step()
	b.move(15 * time.Second)
	in.reply(status(http.StatusNoContent))
	if next := b.step(); !next.IsZero() || b.kit.Notices.Pending() != 0 {
		t.Fatalf("after 204: next %s, %d pending", next, b.kit.Notices.Pending())
	}
	if len(in.bodies) != 2 {
		t.Fatalf("%d tries", len(in.bodies))
	}
	var ids, nonces, plains []string
	for i, body := range in.bodies {
		h := in.headers[i]
		stamp, nonce := h.Get("Wechatpay-Timestamp"), h.Get("Wechatpay-Nonce")
		if !verifies(b.pub, stamp+"\n"+nonce+"\n"+body+"\n", h.Get("Wechatpay-Signature")) {
			t.Errorf("try %d: the signature does not hold", i)
		}
		if want := strconv.FormatInt(b.now().Add(time.Duration(i-1)*15*time.Second).Unix(), 10); stamp != want {
			t.Errorf("try %d: signed at %s, want %s", i, stamp, want)
		}
		if h.Get("Wechatpay-Serial") != publicKeyID || h.Get("Wechatpay-Signature-Type") != "WECHATPAY2-SHA256-RSA2048" ||
			h.Get("Content-Type") != "application/json" || h.Get("Request-ID") != "" {
			t.Errorf("try %d: headers %v", i, h)
		}
		id, plain := openNotice(t, b.sim.Credentials().APIv3Key, body)
		ids, nonces, plains = append(ids, id), append(nonces, nonce), append(plains, plain)
	}
	if ids[0] != ids[1] || len(ids[0]) != 36 || nonces[0] == nonces[1] || plains[0] != plains[1] {
		t.Errorf("ids %v, nonces %v", ids, nonces)
	}
	want := fmt.Sprintf(`{"appid":"%s","mchid":"%s","out_trade_no":"notice-1","trade_state":"SUCCESS","trade_state_desc":"支付成功","attach":"mine","transaction_id":"%s","trade_type":"NATIVE","bank_type":"OTHERS","success_time":"2026-03-01T12:00:00+08:00","payer":{"openid":"%s"},"amount":{"total":9900,"payer_total":9900,"currency":"CNY","payer_currency":"CNY"}}`,
		AppID, MerchantID, paid.TransactionID, b.sim.openID("p"))
	if plains[0] != want {
		t.Errorf("plaintext\n%s, want\n%s", plains[0], want)
	}
}

// openNotice reads an envelope as the documents tell a merchant to.
func openNotice(t *testing.T, key, body string) (id, plain string) {
	t.Helper()
	var e struct {
		ID, CreateTime, ResourceType, EventType, Summary string
		Resource                                         map[string]string
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &raw); err != nil {
		t.Fatal(err)
	}
	for name, into := range map[string]any{
		"id": &e.ID, "create_time": &e.CreateTime, "resource_type": &e.ResourceType, "event_type": &e.EventType, "summary": &e.Summary, "resource": &e.Resource,
	} {
		if err := json.Unmarshal(raw[name], into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if e.ResourceType != "encrypt-resource" || e.EventType != "TRANSACTION.SUCCESS" || e.Summary != "支付成功" || e.CreateTime != "2026-03-01T12:00:00+08:00" ||
		e.Resource["algorithm"] != "AEAD_AES_256_GCM" || e.Resource["original_type"] != "transaction" || e.Resource["associated_data"] != "transaction" || len(e.Resource["nonce"]) != 12 {
		t.Errorf("envelope %s", body)
	}
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := base64.StdEncoding.DecodeString(e.Resource["ciphertext"])
	if err != nil {
		t.Fatal(err)
	}
	opened, err := gcm.Open(nil, []byte(e.Resource["nonce"]), sealed, []byte("transaction"))
	if err != nil {
		t.Fatal(err)
	}
	return e.ID, string(opened)
}

func TestNoticeRetryTable(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in, url := newInbox(t, status(http.StatusBadGateway))
	if err := b.kit.Clock.SetScale(60); err != nil {
		t.Fatal(err)
	}
	b.pay(b.place("table-1", map[string]any{"notify_url": url}), "p")
	var gaps []string
	total := time.Duration(0)
	for range 32 {
		before := b.kit.Clock.Now()
		next := b.step()
		if next.IsZero() {
			break
		}
		b.move(next.Sub(b.now())) // 60 business seconds for each of the wall's
		gap := b.kit.Clock.Now().Sub(before)
		total += gap
		gaps = append(gaps, gap.String())
	}
	if want := "15s 15s 30s 3m0s 10m0s 20m0s 30m0s 30m0s 30m0s 1h0m0s 3h0m0s 3h0m0s 3h0m0s 6h0m0s 6h0m0s"; strings.Join(gaps, " ") != want || total != 24*time.Hour+4*time.Minute {
		t.Errorf("gaps %v in %s, want %s", gaps, total, want)
	}
	if len(in.bodies) != 16 || b.kit.Notices.Pending() != 0 {
		t.Errorf("%d tries, %d pending", len(in.bodies), b.kit.Notices.Pending())
	}
}

func TestWhatAcknowledgesANotice(t *testing.T) {
	t.Parallel()
	elsewhere, elsewhereURL := newInbox(t, status(http.StatusOK))
	for _, row := range []struct {
		name   string
		answer func(http.ResponseWriter)
		done   bool
	}{
		{"200", status(http.StatusOK), true},
		{"204", status(http.StatusNoContent), true},
		{"200 with FAIL in its body", func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"code":"FAIL"}`) }, true},
		{"201", status(http.StatusCreated), false},
		{"400", status(http.StatusBadRequest), false},
		{"500", status(http.StatusInternalServerError), false},
		{"a redirect to a good one", func(w http.ResponseWriter) {
			w.Header().Set("Location", elsewhereURL)
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, false},
		{"a broken connection", func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBench(t)
			_, url := newInbox(t, row.answer)
			b.pay(b.place("acknowledge-1", map[string]any{"notify_url": url}), "p")
			b.step()
			if done := b.kit.Notices.Pending() == 0; done != row.done {
				t.Errorf("acknowledged %v, want %v", done, row.done)
			}
		})
	}
	if len(elsewhere.bodies) != 0 {
		t.Error("a redirect was followed")
	}
}

func TestA03NoticeProbe(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in, url := newInbox(t, status(http.StatusOK))
	b.pay(b.place("probe-1", map[string]any{"notify_url": url}), "p")
	if err := b.kit.Faults.Set(simkit.FaultSettings{ProbeNoticePercent: 100}); err != nil {
		t.Fatal(err)
	}
	b.step()
	h := in.headers[0]
	if verifies(b.pub, h.Get("Wechatpay-Timestamp")+"\n"+h.Get("Wechatpay-Nonce")+"\n"+in.bodies[0]+"\n", h.Get("Wechatpay-Signature")) ||
		!strings.HasPrefix(h.Get("Wechatpay-Signature"), "WECHATPAY/SIGNTEST/") {
		t.Errorf("the probe's signature is %s", h.Get("Wechatpay-Signature"))
	}
	if err := b.kit.Faults.Set(simkit.FaultSettings{}); err != nil {
		t.Fatal(err)
	}
	b.move(15 * time.Second)
	b.step()
	if len(in.bodies) != 2 || b.kit.Notices.Pending() != 0 {
		t.Errorf("%d tries, %d pending: a probe is followed by a good one", len(in.bodies), b.kit.Notices.Pending())
	}
}
