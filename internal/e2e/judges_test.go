package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"piaohao/internal/sim/alipaysim"
	sims "piaohao/internal/sim/all"
	"piaohao/internal/sim/wechatsim"
)

const judgeWithin = 60 * time.Second

// TestJudges lets SDKs that we did not write judge the simulator's wire and our webhooks: they must accept what is
// right, and they and the simulator must each refuse a wrong signature and a wrong amount.
func TestJudges(t *testing.T) {
	t.Parallel()
	byV3 := []string{
		"order", "query unpaid", "pay", "notice verifies", "notice with one byte changed is refused", "notice opens",
		"notice with another amount does not open", "query paid", "order of a paid number", "close of a paid order",
		"close", "query closed", "query of nothing", "refund of another total", "refund of more than was paid", "refund",
		"refund again", "refund again of another amount", "refund notice verifies", "refund notice opens", "query refund",
		"query refund of nothing", "query refunded", "request under a foreign key",
		"request with another amount than signed", "answer under a foreign key",
	}
	t.Run("wechatpay-axios-plugin", func(t *testing.T) {
		t.Parallel()
		p := start(t, "sim")
		judge(t, "wechat.cjs", nil, p.sim)(append(slices.Clip(byV3),
			"certificates of a merchant without", "answer with a wrong signature", "notice with a wrong signature is refused",
		)...)
	})
	for name, mode := range map[string]wechatsim.KeyMode{"certificates": wechatsim.CertificateMode, "both": wechatsim.BothMode} {
		t.Run("wechatpay-axios-plugin, "+name, func(t *testing.T) {
			t.Parallel()
			judge(t, "wechat.cjs", nil, simAlone(t, sims.Options{WeChat: wechatsim.Options{Keys: mode}}))(append(slices.Clip(byV3),
				"certificates", "certificates while they change", "answer under a certificate that was not fetched",
				"answer under the new certificate", "answer with a wrong signature",
			)...)
		})
	}
	for _, kind := range []string{"MD5", "HMAC-SHA256"} {
		t.Run("wechatpay-axios-plugin, APIv2 by "+kind, func(t *testing.T) {
			t.Parallel()
			judge(t, "wechat2.cjs", nil, simAlone(t, sims.Options{}), kind)(
				"order", "query unpaid", "pay", "notice verifies", "notice with another amount is refused", "notice says",
				"query paid", "order of a paid number", "close of a paid order", "order of a used number", "close", "query closed",
				"query of nothing", "refund of another total", "refund of more than was paid", "refund without TLS",
				"refund without certificate", "refund", "refund again", "refund again of another amount", "refund notice opens",
				"query refund", "query refund of nothing", "query refunded", "request under a foreign key",
				"request with another amount than signed", "answer with a wrong signature", "notice with a wrong signature is refused",
			)
		})
	}
	byAlipay := []string{
		"query of nothing", "order", "query unpaid", "query paid", "pay", "notice verifies",
		"notice with another amount is refused", "notice with another signature is refused", "way back verifies",
		"close of a paid trade", "close", "query closed", "refund of more than was paid", "refund", "refund notice",
		"refund again", "refund again of another amount", "query refund", "query refund of nothing", "refund of the rest",
		"query refunded", "request under a foreign key", "order under a foreign key",
		"order with another amount than signed", "answer under a foreign key",
	}
	t.Run("alipay-sdk", func(t *testing.T) {
		t.Parallel()
		p := start(t, "sim")
		judge(t, "alipay.cjs", nil, p.sim)(append(slices.Clip(byAlipay), "answer with a wrong signature")...)
	})
	t.Run("alipay-sdk, certificates", func(t *testing.T) {
		t.Parallel()
		judge(t, "alipay.cjs", nil, simAlone(t, sims.Options{Alipay: alipaysim.Options{Certificates: true}}))(append(slices.Clip(byAlipay),
			"request under a foreign certificate", "request under foreign roots", "certificate", "answer with a wrong signature",
		)...)
	})
	t.Run("standardwebhooks", func(t *testing.T) {
		t.Parallel()
		const secret = "whsec_c3R1cGlkIGJ1dCBsb25nIGVub3VnaCBmb3IgYSB0ZXN0"
		judge(t, "webhook.cjs", aWebhook(t, secret), secret)(
			"verifies", "another amount is refused", "another id is refused", "another time is refused",
			"a foreign secret refuses",
		)
	})
}

// simAlone runs a simulator of these merchants in this process, since no setting of the program chooses them, and
// returns its origin.
func simAlone(t *testing.T, o sims.Options) string {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	o.PublicURL, o.Wall, o.Log = "http://"+server.Listener.Addr().String(), time.Now, slog.New(slog.DiscardHandler)
	o.SecureAddr = "127.0.0.1:0"
	sim, err := sims.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = sim.Handler()
	server.Start()
	secure := &httptest.Server{Listener: sim.Secure(), Config: &http.Server{Handler: sim.Handler(), ReadHeaderTimeout: judgeWithin}}
	secure.Start()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			next, err := sim.Step(t.Context())
			switch {
			case t.Context().Err() != nil:
				return
			case err != nil:
				t.Error(err)
			case !next.IsZero() && !next.After(time.Now()):
				continue
			}
			later := judgeWithin // for want of a notice
			if !next.IsZero() {
				later = time.Until(next)
			}
			select {
			case <-sim.Woken():
			case <-time.After(later): // notices of refunds are; retries are later than any judge
			case <-t.Context().Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		<-ended
		server.Close()
		secure.Close()
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

// judge runs a script of judges/ and returns what compares its checks with those that must be there.
func judge(t *testing.T, script string, stdin []byte, args ...string) func(want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), judgeWithin)
	defer cancel()
	node := exec.CommandContext(ctx, "node", append([]string{script}, args...)...)
	node.Dir = "judges"
	node.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	node.Stderr = &stderr
	out, err := node.Output()
	if err != nil {
		t.Fatalf("%s (make deps installs what it needs): %v\n%s%s", script, err, out, &stderr)
	}
	var got []string
	for line := range strings.Lines(string(out)) {
		var c struct {
			Check  string `json:"check"`
			OK     bool   `json:"ok"`
			Detail string `json:"detail"`
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Errorf("%s says %q", script, line)
			continue
		}
		got = append(got, c.Check)
		if !c.OK {
			t.Errorf("%s: %s: %s", script, c.Check, c.Detail)
		}
	}
	return func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: checks (-want +got):\n%s", script, diff)
		}
	}
}

// aWebhook is a payment.paid as a shop's endpoint received it: JSON of its headers, in lower case, and its body.
func aWebhook(t *testing.T, secret string) []byte {
	t.Helper()
	type received struct {
		Headers map[string]string `json:"headers"`
		Body    string            `json:"body"`
	}
	paid := make(chan received, 1)
	endpoint := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || !bytes.Contains(body, []byte(`"payment.paid"`)) {
			return
		}
		m := received{Headers: map[string]string{}, Body: string(body)}
		for name := range r.Header {
			m.Headers[strings.ToLower(name)] = r.Header.Get(name)
		}
		select {
		case paid <- m:
		default: // a repetition
		}
	}))
	t.Cleanup(endpoint.Close)
	p := start(t, "serve", "WEBHOOK_URL="+endpoint.URL, "WEBHOOK_SECRET="+secret)
	p.payOne(t, "judged")
	select {
	case m := <-paid:
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return text
	case <-time.After(judgeWithin):
		t.Fatalf("no webhook\n%s", p.stderr)
		return nil
	}
}

// payOne makes a payment of 128 yuan at the API and pays it in the simulated wallet.
func (p *process) payOne(t *testing.T, orderNo string) {
	t.Helper()
	status, text := call(t, http.MethodPost, p.gateway+"/v1/payments",
		`{"order_no":"`+orderNo+`","amount":12800,"subject":"宋词选","method":"wechat"}`,
		"Authorization", "Bearer "+p.key, "Content-Type", "application/json")
	var payment struct {
		Action struct {
			Code string `json:"code"`
		} `json:"action"`
	}
	if err := json.Unmarshal([]byte(text), &payment); err != nil || status != http.StatusCreated {
		t.Fatalf("create: %d %s", status, text)
	}
	status, text = call(t, http.MethodPost, p.sim+"/sim/wallet/pay", `{"code":"`+payment.Action.Code+`"}`)
	if status != http.StatusOK {
		t.Fatalf("pay: %d %s", status, text)
	}
}
