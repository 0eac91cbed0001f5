package channeltest_test

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/big"
	"net/http"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/channel/channeltest"
	"piaohao/internal/channel/wechatv2"
	"piaohao/internal/pay"
	"piaohao/internal/secret"
)

// wechat2 is WeChat Pay's APIv2 as this suite plays it, signing in one of the two ways.
type wechat2 struct{ variant string }

const wechatMchKey = "Qk7v2Rz9Lx4Tn8Ws1Yb6Hd3Mf5Gc0Jp2"

func (*wechat2) Info() channel.Info { return wechatv2.Driver.Info }

func (w *wechat2) Variant() string { return w.variant }

func (*wechat2) Account() channel.Account {
	return channel.Account{ID: "wechat-v2-test", AppID: "wx0000000000005002", MerchantID: "1900005002"}
}

func (*wechat2) Secrets() []string { return []string{wechatMchKey, bareKey(wechatKeys()[0])} }

// wechat2Cert is the merchant API certificate, signed by itself, as bare base64.
var wechat2Cert = sync.OnceValue(func() string {
	key := wechatKeys()[0]
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "1900005002"},
		NotBefore: channeltest.Now.Add(-time.Hour), NotAfter: channeltest.Now.Add(48 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(der)
})

func (w *wechat2) New(t *testing.T, env channel.Env) channel.Channel {
	t.Helper()
	account := w.Account()
	env.Sim, env.SimSecure = "http://platform.test", "https://platform.test"
	c, err := wechatv2.Driver.New(&wechatv2.Config{
		AppID: account.AppID, MerchantID: account.MerchantID, MchKey: secret.New(wechatMchKey), SignType: w.variant,
		PrivateKey: secret.New(bareKey(wechatKeys()[0])), MchCert: wechat2Cert(),
	}, env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// message signs fields and writes them in CDATA.
func (w *wechat2) message(fields map[string]string) []byte {
	account := w.Account()
	fields["appid"], fields["mch_id"], fields["nonce_str"] = account.AppID, account.MerchantID, "5K8264ILTKCH16CQ2502SI8ZNMTM67VS"
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	sort.Strings(names)
	text, xml := "", "<xml>"
	for _, name := range names {
		text += name + "=" + fields[name] + "&"
		xml += "<" + name + "><![CDATA[" + fields[name] + "]]></" + name + ">"
	}
	text += "key=" + wechatMchKey
	var sum []byte
	if w.variant == "MD5" {
		digest := md5.Sum([]byte(text))
		sum = digest[:]
	} else {
		mac := hmac.New(sha256.New, []byte(wechatMchKey))
		mac.Write([]byte(text))
		sum = mac.Sum(nil)
	}
	return []byte(xml + "<sign><![CDATA[" + strings.ToUpper(hex.EncodeToString(sum)) + "]]></sign></xml>")
}

func (w *wechat2) Answer(t *testing.T, op string, a pay.Attempt, say channeltest.Say) channel.Answer {
	t.Helper()
	no := func(code string) map[string]string {
		return map[string]string{"result_code": "FAIL", "err_code": code, "err_code_des": "不可以"}
	}
	yes := func(fields map[string]string) map[string]string {
		fields["result_code"] = "SUCCESS"
		return fields
	}
	fields := map[string]map[channeltest.Say]map[string]string{
		"open": {
			channeltest.SayUnpaid: yes(map[string]string{
				"trade_type": "NATIVE", "prepay_id": "wx201411101639507cbf6ffd8b0779950874", "code_url": "weixin://wxpay/bizpayurl?pr=" + a.OutTradeNo,
			}),
			channeltest.SayDeclined: no("NOAUTH"),
			channeltest.SayPaid:     no("ORDERPAID"),
			channeltest.SayClosed:   no("ORDERCLOSED"),
			channeltest.SayLimited:  no("FREQUENCY_LIMITED"),
		},
		"query": {
			channeltest.SayUnpaid:  yes(map[string]string{"out_trade_no": a.OutTradeNo, "trade_state": "NOTPAY"}),
			channeltest.SayPaid:    yes(paidFields(a, map[string]string{"trade_state": "SUCCESS"})),
			channeltest.SayClosed:  yes(map[string]string{"out_trade_no": a.OutTradeNo, "trade_state": "CLOSED"}),
			channeltest.SayAbsent:  no("ORDERNOTEXIST"),
			channeltest.SayLimited: no("FREQUENCY_LIMITED"),
		},
		"close": {
			channeltest.SayClosed:  yes(map[string]string{}),
			channeltest.SayAbsent:  no("ORDERNOTEXIST"),
			channeltest.SayPaid:    no("ORDERPAID"),
			channeltest.SayLimited: no("FREQUENCY_LIMITED"),
		},
	}[op][say]
	fields["return_code"] = "SUCCESS"
	return channel.Answer{Status: 200, Header: http.Header{"Content-Type": {"text/xml"}}, Body: w.message(fields)}
}

func (*wechat2) Sums(string) bool { return false }

func (*wechat2) Stamps() []string { return nil }

func (w *wechat2) AnswerRefund(t *testing.T, op string, a pay.Attempt, r pay.Refund, say channeltest.Say) (channel.Answer, bool) {
	t.Helper()
	no := func(code string) map[string]string {
		return map[string]string{"result_code": "FAIL", "err_code": code, "err_code_des": "不可以"}
	}
	told := func(suffix, status string) map[string]string {
		fields := map[string]string{
			"result_code": "SUCCESS", "transaction_id": a.TransactionID, "out_trade_no": a.OutTradeNo,
			"total_fee": strconv.FormatInt(int64(a.Amount), 10), "out_refund_no" + suffix: r.OutRefundNo,
			"refund_id" + suffix: "50000404922017112502468056157", "refund_fee" + suffix: strconv.FormatInt(int64(r.Amount), 10),
		}
		if status != "" {
			fields["refund_status"+suffix] = status
		}
		if status == "SUCCESS" {
			fields["refund_success_time"+suffix] = "2026-03-01 12:05:01"
		}
		return fields
	}
	fields, ok := map[string]map[channeltest.Say]map[string]string{
		"refund": {
			channeltest.SayProcessing: told("", ""),
			channeltest.SayShort:      no("NOTENOUGH"),
			channeltest.SayDeclined:   no("TRADE_OVERDUE"),
			channeltest.SayAbsent:     no("ORDERNOTEXIST"),
			channeltest.SayLimited:    no("FREQUENCY_LIMITED"),
			channeltest.SayTrouble:    no("BIZERR_NEED_RETRY"),
		},
		"query_refund": {
			channeltest.SayProcessing: told("_0", "PROCESSING"),
			channeltest.SayRefunded:   told("_0", "SUCCESS"),
			channeltest.SayFailed:     told("_0", "REFUNDCLOSE"),
			channeltest.SayAbnormal:   told("_0", "CHANGE"),
			channeltest.SayAbsent:     no("REFUNDNOTEXIST"),
			channeltest.SayLimited:    no("FREQUENCY_LIMITED"),
			channeltest.SayTrouble:    no("SYSTEMERROR"),
		},
	}[op][say]
	if !ok {
		return channel.Answer{}, false
	}
	fields["return_code"] = "SUCCESS"
	return channel.Answer{Status: 200, Header: http.Header{"Content-Type": {"text/xml"}}, Body: w.message(fields)}, true
}

// RefundNotice is sealed under the key alone: nobody signs it (退款结果通知).
func (w *wechat2) RefundNotice(t *testing.T, a pay.Attempt, r pay.Refund) channel.Inbound {
	t.Helper()
	text := fmt.Sprintf("<root><transaction_id>%s</transaction_id><out_trade_no>%s</out_trade_no><out_refund_no>%s</out_refund_no>"+
		"<total_fee>%d</total_fee><refund_fee>%d</refund_fee><refund_status>SUCCESS</refund_status></root>", a.TransactionID, a.OutTradeNo, r.OutRefundNo, a.Amount, r.Amount)
	block, err := aes.NewCipher(fmt.Appendf(nil, "%x", md5.Sum([]byte(wechatMchKey))))
	if err != nil {
		t.Fatal(err)
	}
	pad := aes.BlockSize - len(text)%aes.BlockSize
	sealed := append([]byte(text), bytes.Repeat([]byte{byte(pad)}, pad)...)
	for i := 0; i < len(sealed); i += aes.BlockSize {
		block.Encrypt(sealed[i:], sealed[i:])
	}
	body := "<xml><return_code>SUCCESS</return_code><appid>" + a.AppID + "</appid><mch_id>" + a.MerchantID + "</mch_id><req_info>" +
		base64.StdEncoding.EncodeToString(sealed) + "</req_info></xml>"
	return channel.Inbound{Header: http.Header{"Content-Type": {"text/xml"}}, Body: []byte(body)}
}

func paidFields(a pay.Attempt, fields map[string]string) map[string]string {
	fields["out_trade_no"], fields["transaction_id"], fields["trade_type"] = a.OutTradeNo, channeltest.TransactionID, "NATIVE"
	fields["total_fee"], fields["fee_type"], fields["cash_fee"] = strconv.FormatInt(int64(a.Amount), 10), "CNY", "1"
	fields["time_end"], fields["bank_type"] = "20260301120459", "OTHERS"
	return fields
}

var wechat2Sign = regexp.MustCompile(`<sign>.*</sign>`)

func (*wechat2) Unsigned(_ *testing.T, a channel.Answer) channel.Answer {
	a.Body = wechat2Sign.ReplaceAll(a.Body, nil)
	return a
}

func (w *wechat2) Notice(t *testing.T, a pay.Attempt) channel.Inbound {
	t.Helper()
	body := w.message(paidFields(a, map[string]string{"return_code": "SUCCESS", "result_code": "SUCCESS"}))
	return channel.Inbound{Header: http.Header{"Content-Type": {"text/xml"}}, Body: body}
}

func TestWechatV2(t *testing.T) {
	t.Parallel()
	for _, variant := range []string{"MD5", "HMAC-SHA256"} {
		t.Run(variant, func(t *testing.T) {
			t.Parallel()
			channeltest.Run(t, &wechat2{variant})
		})
	}
}
