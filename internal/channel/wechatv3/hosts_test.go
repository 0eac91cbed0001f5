package wechatv3

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"piaohao/internal/channel"
)

// The platform's backup host gets the same request when no connection to the first stood, and never otherwise: what was
// sent may have been received.
func TestBackupHost(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	broken := &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	const first, second, sim = "api.mch.weixin.qq.com", "api2.mch.weixin.qq.com", "127.0.0.1:5001"
	for _, tt := range []struct {
		name  string
		live  bool
		fails map[string]error
		want  string // what comes of it
		hosts string
	}{
		{"first host answers", true, nil, "unpaid", first},
		{"first host refuses", true, map[string]error{first: refused}, "unpaid", first + " " + second},
		{"both refuse", true, map[string]error{first: refused, second: refused}, "unknown unreachable", first + " " + second},
		{"sent, and no answer", true, map[string]error{first: reset}, "unknown unreachable", first},
		{"broken while it was sent", true, map[string]error{first: broken}, "unknown unreachable", first},
		{"another fault", true, map[string]error{first: errors.New("x509: unknown authority")}, "unknown unreachable", first},
		{"simulator answers", false, nil, "unpaid", sim},
		{"A18 simulator refuses", false, map[string]error{sim: refused}, "unknown unreachable", sim},
	} {
		for _, op := range []string{"query", "close", "native", "refresh"} {
			t.Run(tt.name+" "+op, func(t *testing.T) {
				t.Parallel()
				var hosts, seen []string
				c := build(t, func(_ *Config, env *channel.Env) {
					if env.Account.Livemode = tt.live; tt.live {
						env.Sim = ""
					}
					env.HTTP = &http.Client{Transport: roundTrip(func(req *http.Request) (*http.Response, error) {
						if tt.live != (req.URL.Scheme == "https") {
							t.Errorf("scheme %s", req.URL.Scheme)
						}
						body, _ := io.ReadAll(req.Body)
						hosts = append(hosts, req.URL.Host)
						seen = append(seen, req.Method+req.URL.RequestURI()+req.Header.Get("Authorization")+string(body))
						if err := tt.fails[req.URL.Host]; err != nil {
							return nil, err
						}
						return answerTo(op), nil
					})}
				})
				got := ""
				if op == "refresh" {
					_, err := c.Refresh(t.Context())
					kind, code := kindOf(err)
					got = strings.TrimSpace(string(kind) + " " + code)
				} else {
					got = call(t, c, op)
				}
				want := tt.want
				if want == "unpaid" {
					want = map[string]string{"query": "unpaid", "close": "closed", "native": "qr weixin://x", "refresh": ""}[op]
				}
				if got != want {
					t.Errorf("came to %q, want %q", got, want)
				}
				if strings.Join(hosts, " ") != tt.hosts {
					t.Errorf("asked %v, want %s", hosts, tt.hosts)
				}
				if len(seen) == 2 && seen[0] != seen[1] {
					t.Errorf("the requests differ: %q", seen)
				}
			})
		}
	}
}

// answerTo is what the platform says to op, signed.
func answerTo(op string) *http.Response {
	status, body := 200, `{"trade_state":"NOTPAY"}`
	switch op {
	case "close":
		status, body = 204, ""
	case "native":
		body = `{"code_url":"weixin://x"}`
	case "refresh":
		body = list(item(oldSerial, oldCert()))
	}
	return &http.Response{StatusCode: status, Header: signed(testKeys().platform, testNow(), body), Body: io.NopCloser(strings.NewReader(body))}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
