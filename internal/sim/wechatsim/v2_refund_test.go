package wechatsim

import (
	"bytes"
	"crypto/aes"
	"crypto/md5"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/sim/simkit"
	"piaohao/spec/wechat"
)

// secureBench is a bench whose TLS is served by somebody.
type secureBench struct {
	*bench
	url string
}

func newSecureBench(t *testing.T) *secureBench {
	t.Helper()
	b := newBench(t)
	l, err := b.sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: b.mux, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}}
	server.Start()
	t.Cleanup(server.Close)
	return &secureBench{bench: b, url: b.sim.Credentials().SecureURL}
}

// client trusts the simulator's authority and shows the certificates.
func (b *secureBench) client(own ...tls.Certificate) *http.Client {
	b.t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(b.sim.Credentials().SecureCA)) {
		b.t.Fatal("no authority")
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: own, Time: b.now, MinVersion: tls.VersionTLS12}}
	b.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// merchant is the certificate as a merchant has it.
func (b *secureBench) merchant() tls.Certificate {
	b.t.Helper()
	k := b.sim.Credentials()
	pair, err := tls.X509KeyPair([]byte(k.MchCert), []byte(k.PrivateKey))
	if err != nil {
		b.t.Fatal(err)
	}
	return pair
}

func (b *secureBench) post(c *http.Client, path, body string) (int, string) {
	b.t.Helper()
	resp, err := c.Post(b.url+path, "text/xml", strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

func (b *secureBench) v2Refund(number string, changes fields) v2Sent {
	b.t.Helper()
	f := fields{"out_trade_no": "v2-order", "out_refund_no": number, "total_fee": "9900", "refund_fee": "100"}
	maps.Copy(f, changes)
	status, body := b.post(b.client(b.merchant()), v2RefundPath, b.v2Message(signMD5, f))
	if status != http.StatusOK {
		b.t.Fatalf("refund: %d %s", status, body)
	}
	return readV2(b.t, body)
}

// foreign is a certificate of another authority that claims to be the merchant's.
func (b *secureBench) foreign() tls.Certificate {
	b.t.Helper()
	block, _ := pem.Decode([]byte(b.sim.Credentials().MchCert))
	like, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		b.t.Fatal(err)
	}
	key := testKeys()[PlatformKey]
	like.PublicKey, like.SignatureAlgorithm = &key.PublicKey, x509.SHA256WithRSA
	made, err := simkit.Issue(like, &key.PublicKey, nil, key)
	if err != nil {
		b.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{made.Raw}, PrivateKey: key}
}

// platforms is a certificate of the right authority that is not the merchant's.
func (b *secureBench) platforms() tls.Certificate {
	b.t.Helper()
	key := testKeys()[PlatformKey]
	der, err := issue(b.kit, strings.Repeat("1", 40), tenpay, &key.PublicKey)
	if err != nil {
		b.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestV2RefundWantsTheMerchantsCertificate(t *testing.T) {
	t.Parallel()
	b := newSecureBench(t)
	b.v2Place("v2-order", nil)
	b.pay("v2-order", "p")
	body := b.v2Message(signMD5, fields{"out_trade_no": "v2-order", "out_refund_no": "r1", "total_fee": "9900", "refund_fee": "100"})
	for name, own := range map[string][]tls.Certificate{
		"no certificate": nil, "a foreign one": {b.foreign()}, "another of the same authority": {b.platforms()},
	} {
		if status, text := b.post(b.client(own...), v2RefundPath, body); status != http.StatusBadRequest || !strings.Contains(text, "SSL certificate") {
			t.Errorf("%s: %d %s", name, status, text)
		}
		if status, text := b.post(b.client(own...), "/secapi/pay/reverse", body); status != http.StatusBadRequest {
			t.Errorf("%s, reverse: %d %s", name, status, text)
		}
		if status, text := b.post(b.client(own...), wechat.V2QueryPath, b.v2Message(signMD5, fields{"out_trade_no": "v2-order"})); status != http.StatusOK || !strings.Contains(text, "SUCCESS") {
			t.Errorf("%s, query: %d %s", name, status, text)
		}
	}
	w := httptest.NewRecorder()
	b.mux.ServeHTTP(w, httptest.NewRequest("POST", v2RefundPath, strings.NewReader(body)))
	if w.Code != http.StatusBadRequest {
		t.Errorf("without TLS: %d %s", w.Code, w.Body)
	}
	if got := b.v2(v2RefundQueryPath, fields{"out_refund_no": "r1"}); got.line() != "FAIL REFUNDNOTEXIST" {
		t.Errorf("a refund was made: %s", got.raw)
	}
	if status, text := b.post(b.client(b.merchant()), v2RefundPath, body); status != http.StatusOK || readV2(t, text).line() != "SUCCESS" {
		t.Errorf("with the certificate: %d %s", status, text)
	}
	if status, _ := b.post(b.client(b.merchant()), "/secapi/pay/reverse", body); status != http.StatusNotFound {
		t.Errorf("reverse: %d", status)
	}
	if _, err := http.Post(b.url+v2RefundQueryPath, "text/xml", strings.NewReader(body)); err == nil {
		t.Error("trusted without its authority")
	}
}

func TestSecureAuthorityAndPortAreKept(t *testing.T) {
	t.Parallel()
	b := &bench{t: t}
	b.wall.Store(time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC).UnixMilli())
	dir := t.TempDir()
	start := func() (Credentials, func()) {
		b.open(dir)
		l, err := b.sim.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return b.sim.Credentials(), func() {
			_ = l.Close()
			if err := b.kit.Close(); err != nil {
				t.Fatal(err)
			}
			b.move(time.Hour)
		}
	}
	first, stop := start()
	stop()
	second, stop := start()
	stop()
	if second.SecureCA != first.SecureCA {
		t.Error("a restart changed the authority")
	}
	if taken, err := net.Listen("tcp", strings.TrimPrefix(first.SecureURL, "https://")); err == nil { // else it is taken, too
		defer func() { _ = taken.Close() }()
	}
	if second.SecureURL != first.SecureURL {
		t.Errorf("%s after a restart, before %s", second.SecureURL, first.SecureURL)
	}
	third, stop := start()
	stop()
	if third.SecureURL == first.SecureURL {
		t.Error("listens on a port that is taken")
	}
}

func TestV2Refund(t *testing.T) {
	t.Parallel()
	b := newSecureBench(t)
	b.v2Place("v2-order", nil)
	b.v2Place("v2-unpaid", nil)
	if got := b.v2Refund("r0", nil); got.line() != "FAIL ORDERNOTEXIST" {
		t.Errorf("unpaid: %s", got.raw)
	}
	order := b.pay("v2-order", "p")
	first := b.v2Refund("r1", nil)
	if first.line() != "SUCCESS" || !first.signed(signMD5, b.sim.Credentials().MchKey) {
		t.Fatalf("refund: %s", first.raw)
	}
	want := fields{
		"transaction_id": order.TransactionID, "out_trade_no": "v2-order", "out_refund_no": "r1", "refund_fee": "100",
		"settlement_refund_fee": "100", "total_fee": "9900", "settlement_total_fee": "9900", "fee_type": "CNY", "cash_fee": "9900",
		"cash_refund_fee": "100", "coupon_refund_fee": "0", "coupon_refund_count": "0",
	}
	for name, value := range want {
		if first.values[name] != value {
			t.Errorf("%s is %q, want %q", name, first.values[name], value)
		}
	}
	b.move(time.Minute)
	if again := b.v2Refund("r1", nil); again.line() != "SUCCESS" || again.values["refund_id"] != first.values["refund_id"] {
		t.Errorf("A70 again: %s", again.raw)
	}
	b.faults(simkit.FaultSettings{FailAfterPercent: 100})
	if got := b.v2Refund("r5xx", fields{"refund_fee": "1"}); got.line() != "FAIL SYSTEMERROR" {
		t.Errorf("fail after: %s", got.raw)
	}
	b.faults(simkit.FaultSettings{})
	if got := b.v2(v2RefundQueryPath, fields{"out_refund_no": "r5xx"}); got.values["refund_fee_0"] != "1" {
		t.Errorf("a refund that was answered with SYSTEMERROR: %s", got.raw)
	}
	b.move(time.Minute)
	for _, row := range []struct {
		name, want string
		changes    fields
	}{
		{"the number with another amount", "FAIL ERROR", fields{"out_refund_no": "r1", "refund_fee": "101"}},
		{"another total", "FAIL ERROR", fields{"total_fee": "9901"}},
		{"more than is left", "FAIL ERROR", fields{"refund_fee": "9801"}},
		{"no order", "FAIL ORDERNOTEXIST", fields{"out_trade_no": "nothing"}},
		{"no transaction", "FAIL INVALID_TRANSACTIONID", fields{"transaction_id": "4200", "out_trade_no": "-"}},
		{"neither number", "FAIL LACK_PARAMS", fields{"out_trade_no": "-"}},
		{"no refund number", "FAIL LACK_PARAMS", fields{"out_refund_no": "-"}},
		{"0 fen", "FAIL PARAM_ERROR", fields{"refund_fee": "0"}},
		{"yuan", "FAIL PARAM_ERROR", fields{"refund_fee": "1.00"}},
		{"an unknown account", "FAIL PARAM_ERROR", fields{"refund_account": "MINE"}},
		{"by the transaction", "SUCCESS", fields{"transaction_id": order.TransactionID, "out_trade_no": "-", "refund_account": "REFUND_SOURCE_RECHARGE_FUNDS"}},
		{"a second within a minute", "FAIL FREQUENCY_LIMITED", fields{"out_refund_no": "r3"}},
	} {
		if got := b.v2Refund("r2", row.changes); got.line() != row.want {
			t.Errorf("%s: %s, want %s", row.name, got.raw, row.want)
		}
	}
	b.move(time.Minute)
	if err := b.kit.SetBalance(platformName, 0); err != nil {
		t.Fatal(err)
	}
	if got := b.v2Refund("r3", nil); got.line() != "FAIL NOTENOUGH" {
		t.Errorf("no money: %s", got.raw)
	}
	b.paid("brings-money", nil)
	b.move(refundWindow)
	if got := b.v2Refund("r3", nil); got.line() != "FAIL TRADE_OVERDUE" {
		t.Errorf("A72 late: %s", got.raw)
	}
	b.balanced()
}

func TestV2RefundQuery(t *testing.T) {
	t.Parallel()
	b := newSecureBench(t)
	b.v2Place("v2-order", nil)
	order := b.pay("v2-order", "p")
	query := func(f fields) v2Sent { return b.v2(v2RefundQueryPath, f) }
	if got := query(fields{"out_trade_no": "v2-order"}); got.line() != "FAIL REFUNDNOTEXIST" {
		t.Errorf("none: %s", got.raw)
	}
	b.faults(simkit.FaultSettings{RefundMS: 3_600_000})
	id := b.v2Refund("r0", nil).values["refund_id"]
	for _, row := range []struct {
		settings simkit.FaultSettings
		want     string
	}{
		{simkit.FaultSettings{RefundAbnormalPercent: 100}, "CHANGE"}, {simkit.FaultSettings{RefundClosedPercent: 100}, "REFUNDCLOSE"}, {simkit.FaultSettings{}, "SUCCESS"},
	} {
		b.move(time.Minute)
		b.faults(row.settings)
		b.v2Refund("r-"+row.want, nil)
		b.move(time.Second)
		if got := query(fields{"out_refund_no": "r-" + row.want}); got.values["refund_status_0"] != row.want || got.values["refund_count"] != "1" ||
			(got.values["refund_success_time_0"] != "") != (row.want == "SUCCESS") {
			t.Errorf("%s: %s", row.want, got.raw)
		}
	}
	got := query(fields{"refund_id": id, "out_trade_no": "other"})
	want := []string{
		"return_code", "return_msg", "appid", "mch_id", "nonce_str", "sign", "result_code", "transaction_id", "out_trade_no", "total_fee",
		"settlement_total_fee", "fee_type", "cash_fee", "refund_count", "out_refund_no_0", "refund_id_0", "refund_channel_0", "refund_fee_0",
		"settlement_refund_fee_0", "refund_status_0", "refund_account_0", "refund_recv_accout_0",
	}
	if got.line() != "SUCCESS" || !slices.Equal(got.names, want) || got.values["refund_status_0"] != "PROCESSING" || got.values["out_refund_no_0"] != "r0" {
		t.Errorf("by refund_id: %s", got.raw)
	}
	for n := range 8 {
		b.move(time.Minute)
		b.v2Refund(fmt.Sprintf("more-%d", n), nil)
	}
	if got := query(fields{"transaction_id": order.TransactionID}); got.values["refund_count"] != "10" || got.values["total_refund_count"] != "" ||
		got.values["out_refund_no_9"] != "more-5" || got.values["out_refund_no_10"] != "" {
		t.Errorf("the first ten: %s", got.raw)
	}
	if got := query(fields{"out_trade_no": "v2-order", "offset": "10"}); got.values["refund_count"] != "2" || got.values["total_refund_count"] != "12" || got.values["out_refund_no_1"] != "more-7" {
		t.Errorf("the rest: %s", got.raw)
	}
	for want, f := range map[string]fields{
		"FAIL REFUNDNOTEXIST": {"out_trade_no": "v2-order", "offset": "12"}, "FAIL PARAM_ERROR": {"out_trade_no": "v2-order", "offset": "-1"},
		"FAIL LACK_PARAMS": {},
	} {
		if got := query(f); got.line() != want {
			t.Errorf("%v: %s, want %s", f, got.raw, want)
		}
	}
}

func TestA13V2RefundNotice(t *testing.T) {
	t.Parallel()
	b := newSecureBench(t)
	in, url := newInbox(t, reply(http.StatusOK, "<xml><return_code>SUCCESS</return_code></xml>"))
	b.v2Place("v2-order", fields{"notify_url": url})
	order := b.pay("v2-order", "p")
	b.step()
	id := b.v2Refund("r1", nil).values["refund_id"]
	b.move(time.Second)
	b.faults(simkit.FaultSettings{ProbeNoticePercent: 100})
	b.step()
	b.faults(simkit.FaultSettings{})
	b.move(time.Hour)
	b.step()
	if len(in.bodies) != 3 || b.kit.Notices.Pending() != 0 {
		t.Fatalf("notices %v, %d pending", in.bodies, b.kit.Notices.Pending())
	}
	if plain := openReqInfo(readV2(t, in.bodies[1]).values["req_info"], b.sim.Credentials().MchKey); strings.HasPrefix(plain, "<root>") {
		t.Error("a probe opens")
	}
	sent := readV2(t, in.bodies[2])
	if !slices.Equal(sent.names, []string{"return_code", "appid", "mch_id", "nonce_str", "req_info"}) {
		t.Errorf("notice %s", sent.raw)
	}
	plain := openReqInfo(sent.values["req_info"], b.sim.Credentials().MchKey)
	want := "<root>\n<out_refund_no><![CDATA[r1]]></out_refund_no>\n<out_trade_no><![CDATA[v2-order]]></out_trade_no>\n" +
		"<refund_account><![CDATA[REFUND_SOURCE_UNSETTLED_FUNDS]]></refund_account>\n<refund_fee><![CDATA[100]]></refund_fee>\n" +
		"<refund_id><![CDATA[" + id + "]]></refund_id>\n<refund_recv_accout><![CDATA[支付用户零钱]]></refund_recv_accout>\n" +
		"<refund_request_source><![CDATA[API]]></refund_request_source>\n<refund_status><![CDATA[SUCCESS]]></refund_status>\n" +
		"<settlement_refund_fee><![CDATA[100]]></settlement_refund_fee>\n<settlement_total_fee><![CDATA[9900]]></settlement_total_fee>\n" +
		"<success_time><![CDATA[2026-03-01 12:00:01]]></success_time>\n<total_fee><![CDATA[9900]]></total_fee>\n" +
		"<transaction_id><![CDATA[" + order.TransactionID + "]]></transaction_id>\n</root>"
	if plain != want {
		t.Errorf("inner text\n%s\nwant\n%s", plain, want)
	}
	if names := rootNames(t, plain); !slices.Equal(names, rootNames(t, wechat.V2ReqInfo.Plaintext)) {
		t.Errorf("names %v are not those of the published notice", names)
	}
	if _, err := b.sim.Refund("v2-order", 1); err != nil {
		t.Fatal(err)
	}
	b.move(time.Second)
	b.step()
	if plain := openReqInfo(readV2(t, in.bodies[3]).values["req_info"], b.sim.Credentials().MchKey); !strings.Contains(plain, "VENDOR_PLATFORM") {
		t.Errorf("the console's: %s", plain)
	}
}

func rootNames(t *testing.T, text string) []string {
	t.Helper()
	var doc struct {
		Elements []struct{ XMLName xml.Name } `xml:",any"`
	}
	if err := xml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range doc.Elements {
		names = append(names, e.XMLName.Local)
	}
	return names
}

// openReqInfo decrypts by the documents' steps; what does not open is returned as it fell out.
func openReqInfo(text, key string) string {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err.Error()
	}
	sum := md5.Sum([]byte(key))
	block, err := aes.NewCipher([]byte(hex.EncodeToString(sum[:])))
	if err != nil {
		return err.Error()
	}
	for at := 0; at+16 <= len(raw); at += 16 {
		block.Decrypt(raw[at:at+16], raw[at:at+16])
	}
	if n := int(raw[len(raw)-1]); n >= 1 && n <= 16 && bytes.HasSuffix(raw, bytes.Repeat([]byte{byte(n)}, n)) {
		raw = raw[:len(raw)-n]
	}
	return string(raw)
}

func TestReqInfoIsAsPublished(t *testing.T) {
	t.Parallel()
	got, err := encryptECB([]byte(wechat.V2ReqInfo.Plaintext), wechat.V2ReqInfo.Key)
	if err != nil || got != wechat.V2ReqInfo.Ciphertext {
		t.Errorf("%s, %v", got, err)
	}
	whole, err := encryptECB([]byte("0123456789abcdef"), "k") // padding of a whole block
	if err != nil || openReqInfo(whole, "k") != "0123456789abcdef" || len(whole) != 44 {
		t.Errorf("%s, %v", whole, err)
	}
}
