package wechatv2

import (
	"testing"

	"piaohao/internal/channel"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
	"piaohao/internal/strict"
	facts "piaohao/spec/wechat"
)

func TestPublishedSignatures(t *testing.T) {
	t.Parallel()
	for _, v := range facts.V2SignedTexts {
		c := &client{key: secret.New(v.Key)}
		var fields strict.Form
		for _, f := range v.Fields {
			fields = append(fields, strict.Pair(f))
		}
		if code := unsplit(fields, ""); code != "" {
			t.Fatalf("%s: %s", v.Name, code)
		}
		for variant, want := range map[string]string{"MD5": v.MD5, "HMAC-SHA256": v.HMAC} {
			if got := string(c.sign(nil, variant, fields)); got != want {
				t.Errorf("%s by %s: %s, want %s", v.Name, variant, got, want)
			}
		}
	}
}

func TestPublishedReqInfo(t *testing.T) {
	t.Parallel()
	c := build(t, nil)
	var err error
	if c.reqInfo, err = reqInfoCipher(facts.V2ReqInfo.Key); err != nil { // New refuses a published key
		t.Fatal(err)
	}
	text, err := c.open(facts.V2ReqInfo.Ciphertext)
	if err != nil || string(text) != facts.V2ReqInfo.Plaintext {
		t.Fatalf("open = %q, %v", text, err)
	}
	body := xmlOf("xml", append(append([]facts.Field{}, facts.V2RefundNotice...), facts.Field{Name: "req_info", Value: facts.V2ReqInfo.Ciphertext}))
	if obs, err := c.Read(channel.Inbound{Body: []byte(body)}); err != nil || obs.State != pay.Unknown || obs.Refund != nil || !obs.Hint || obs.OutTradeNo != "4893e76d8c8b434cb64e9cd536338e33" {
		t.Errorf("%+v, %v", obs, err)
	}
}
