package alipaysim

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestOrderFields(t *testing.T) {
	t.Parallel()
	const bad, good = "ACQ.INVALID_PARAMETER", ""
	chars := func(n int) string { return strings.Repeat("字", n) }
	for _, row := range []struct {
		name  string
		field string
		value any // nil = absent
		want  string
	}{
		{"out_trade_no absent", "out_trade_no", nil, bad},
		{"out_trade_no of 64", "out_trade_no", strings.Repeat("a", 64), good},
		{"out_trade_no of 65", "out_trade_no", strings.Repeat("a", 65), bad},
		{"out_trade_no with hyphen and underscore", "out_trade_no", "a-1_B", good},
		{"out_trade_no with a space", "out_trade_no", "a 1", bad},
		{"out_trade_no in Chinese", "out_trade_no", "单号", bad},
		{"amount absent", "total_amount", nil, bad},
		{"amount without decimals", "total_amount", "88", good},
		{"amount of one decimal", "total_amount", "0.1", good},
		{"amount as a JSON number", "total_amount", json.Number("88.88"), good},
		{"amount of a float that went wrong", "total_amount", json.Number("0.040000000000000001"), bad},
		{"amount with an exponent", "total_amount", json.Number("1e2"), bad},
		{"smallest amount", "total_amount", "0.01", good},
		{"amount of nothing", "total_amount", "0.00", bad},
		{"largest amount", "total_amount", "100000000", good},
		{"amount beyond the largest", "total_amount", "100000000.01", bad},
		{"amount of three decimals", "total_amount", "0.011", bad},
		{"amount with a sign", "total_amount", "+1.00", bad},
		{"amount below zero", "total_amount", "-1.00", bad},
		{"amount with a leading zero", "total_amount", "01.00", bad},
		{"amount with a bare point", "total_amount", "1.", bad},
		{"amount with spaces", "total_amount", " 1.00", bad},
		{"amount with separators", "total_amount", "1,000.00", bad},
		{"amount with a line end", "total_amount", "1.00\n", bad},
		{"amount in full-width digits", "total_amount", "１.00", bad},
		{"amount as a list", "total_amount", []string{"1.00"}, bad},
		{"subject absent", "subject", nil, bad},
		{"subject of 256", "subject", chars(256), good},
		{"subject of 257", "subject", chars(257), bad},
		{"A07 subject with &", "subject", "a&b", bad},
		{"A07 subject with =", "subject", "a=b", bad},
		{"subject with /", "subject", "a/b", bad},
		{"A07 subject with full-width signs", "subject", "ａ＆ｂ＝ｃ／ｄ", good},
		{"body of 128", "body", chars(128), good},
		{"body of 129", "body", chars(129), bad},
		{"product_code absent", "product_code", nil, bad},
		{"product_code of another method", "product_code", "QUICK_WAP_WAY", bad},
		{"seller_id ours", "seller_id", SellerID, good},
		{"seller_id of another", "seller_id", "2088000000005002", bad},
		{"time_expire without seconds", "time_expire", "2026-03-01 12:30", bad},
		{"time_expire in another layout", "time_expire", "2026/03/01 12:30:00", bad},
		{"timeout_express of a minute", "timeout_express", "1m", good},
		{"timeout_express of nothing", "timeout_express", "0m", bad},
		{"timeout_express beyond 15 days", "timeout_express", "16d", bad},
		{"timeout_express beyond 15 days in hours", "timeout_express", "361h", bad},
		{"timeout_express with a fraction", "timeout_express", "1.5h", bad},
		{"timeout_express of 2c", "timeout_express", "2c", bad},
		{"passback_params of 512", "passback_params", chars(512), good},
		{"passback_params of 513", "passback_params", chars(513), bad},
		{"quit_url without a scheme", "quit_url", "shop.test/quit", bad},
		{"quit_url of javascript", "quit_url", "javascript:alert(1)", bad},
		{"unknown field", "qr_pay_mode", "2", good},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			biz := pageBiz("A")
			biz[row.field] = row.value
			if row.value == nil {
				delete(biz, row.field)
			}
			page := link(w.request(methodPagePay, biz))
			if row.want == good {
				w.visit(page)
				return
			}
			w.refusedWith(page, row.want)
		})
	}
}

func TestWapOrderFields(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name, field, value, want string
	}{
		{"product_code of the docs", "product_code", "QUICK_WAP_WAY", ""},
		{"product_code of the SDKs", "product_code", "QUICK_WAP_PAY", ""},
		{"product_code of page.pay", "product_code", "FAST_INSTANT_TRADE_PAY", "ACQ.INVALID_PARAMETER"},
		{"time_expire without seconds", "time_expire", "2026-03-01 12:30", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			biz := pageBiz("A")
			biz["product_code"] = "QUICK_WAP_WAY"
			biz[row.field] = row.value
			page := link(w.request(methodWapPay, biz))
			if row.want == "" {
				w.visit(page)
				return
			}
			w.refusedWith(page, row.want)
		})
	}
}

func TestBrowserRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refusedWith(w.page("A", set("app_id", "1")), "isv.invalid-app-id")
	w.refusedWith(w.page("A", set("return_url", "/payment/success")), "isv.invalid-parameter")
	w.refusedWith(w.page("A", set("biz_content", "[")), "isv.illegal-json")
	forged := w.request(methodPagePay, pageBiz("A"))
	forged["biz_content"] = strings.Replace(forged["biz_content"], "128.00", "0.01", 1)
	w.refusedWith(link(forged), "isv.invalid-signature") // the page tells the text, and escapes it
	if page := text(t, w.get(w.page("A", set("timestamp", "<script>")))); strings.Contains(page, "<script>") {
		t.Errorf("page %s", page)
	}
}

func TestYuan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"0.01": 1, "0.1": 10, "1": 100, "1.1": 110, "88.88": 8888, "100000000.00": maxFen} {
		if fen, ok := parseYuan(text); !ok || fen != want {
			t.Errorf("parseYuan(%q) = %d %v, want %d", text, fen, ok, want)
		}
	}
}
