package gateway_test

import (
	"net/http"
	"testing"

	"piaohao/internal/channel"
	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// otherProtocol shares a notice address, takes nothing there for its own, and refuses with a status of 200, as APIv2 does.
type otherProtocol struct{ *platform }

func (otherProtocol) Read(channel.Inbound) (pay.Observation, error) {
	return pay.Observation{}, &channel.Error{Kind: channel.Foreign, Op: "read", Code: "form"}
}

func (otherProtocol) Ack(bool) channel.Reply {
	return channel.Reply{Status: http.StatusOK, Body: "FAIL"}
}

// A03: a message that fails verification is refused in the words of the account that it was meant for, wherever that
// account stands in the list: the platform of the other protocol would take the other's status for success.
func TestA03RefusalIsInTheWordsOfTheAddressee(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]bool{"addressee first": true, "addressee last": false} {
		w := newWorld(t, func(accounts []gateway.Account) []gateway.Account {
			other := accounts[0]
			other.ID, other.Info.Channel, other.Channel = "other-1", "other", otherProtocol{&platform{}}
			if first {
				return append(accounts, other)
			}
			return append([]gateway.Account{other}, accounts...)
		})
		if r := w.notice(w.qr, pay.Attempt{OutTradeNo: "x"}, "tx", func(n *note) { n.Sig = "bad" }); r.Status != http.StatusInternalServerError || r.Body != "fail" {
			t.Errorf("A03 %s: %+v", name, r)
		}
	}
}
