package cashier_test

import (
	"net/http"
	"strings"
	"testing"

	"piaohao/internal/gateway"
	"piaohao/internal/pay"
)

// What pages say of money that goes back is true: "is being returned" while it is on its way, "returned" when it went
// back, and whom to ask when nothing more happens by itself.
func TestA28A67MoneyThatGoesBack(t *testing.T) {
	t.Parallel()
	const total = 12800
	none := pay.Return{}
	for _, row := range []struct {
		name    string
		phase   gateway.Phase
		refund  pay.Return
		surplus pay.Return
		live    bool
		seal    bool
		says    [2][]string
		not     [2][]string
	}{
		{
			"paid", gateway.PhasePaid,
			pay.Return{Total: total},
			none, false, true,
			[2][]string{{"支付成功"}, {"Payment received"}},
			[2][]string{{"退", `class="back`}, {"return", "refund"}},
		},
		{
			"a refund is on its way", gateway.PhasePaid,
			pay.Return{Total: total, Going: 3000},
			none, true, true,
			[2][]string{
				{"支付成功", "款项正在退回您付款时使用的账户", `<dt>正在退回</dt><dd>¥30.00</dd>`},
				{"Payment received", "is being returned to the account that paid", "<dt>Being returned</dt><dd>¥30.00</dd>"},
			},
			[2][]string{{"已退回"}, {"Returned", "was returned"}},
		},
		{
			"partly refunded", gateway.PhasePaid,
			pay.Return{Total: total, Done: 3000},
			none, false, true,
			[2][]string{
				{"支付成功", "部分款项已退回您付款时使用的账户", `<dt>已退回</dt><dd>¥30.00</dd>`},
				{"Payment received", "Part of the money was returned to the account that paid", "<dt>Returned</dt><dd>¥30.00</dd>"},
			},
			[2][]string{{"正在退回"}, {"eing returned"}},
		},
		{
			"partly, and more to come", gateway.PhasePaid,
			pay.Return{Total: total, Done: 3000, Going: 7800},
			none, true, true,
			[2][]string{
				{"款项正在退回", `<dt>已退回</dt><dd>¥30.00</dd>`, `<dt>正在退回</dt><dd>¥78.00</dd>`},
				{"is being returned", "<dt>Returned</dt><dd>¥30.00</dd>", "<dt>Being returned</dt><dd>¥78.00</dd>"},
			},
			[2][]string{{"待商店处理"}, {"Needs the shop"}},
		},
		{
			"a refund needs the shop", gateway.PhasePaid,
			pay.Return{Total: total, Stuck: 3000},
			none, false, true,
			[2][]string{
				{"支付成功", "请联系商店处理", `<dt>待商店处理</dt><dd>¥30.00</dd>`},
				{"Payment received", "Please contact the shop", "<dt>Needs the shop</dt><dd>¥30.00</dd>"},
			},
			[2][]string{{"正在退回", "已退回"}, {"eing returned", "Returned"}},
		},
		{
			"wholly refunded", gateway.PhaseRefunded,
			pay.Return{Total: total, Done: total},
			none, false, false,
			[2][]string{
				{"已全额退款", "全部款项已退回您付款时使用的账户", `<dt>已退回</dt><dd>¥128.00</dd>`, "支付时间"},
				{"Refunded in full", "All of the money was returned to the account that paid", "<dt>Returned</dt><dd>¥128.00</dd>", "Paid at"},
			},
			[2][]string{{"支付成功", "部分"}, {"Payment received", "Part of"}},
		},
		{
			"wholly refunded, and second money on its way", gateway.PhaseRefunded,
			pay.Return{Total: total, Done: total},
			pay.Return{Total: total, Going: total},
			true, false,
			[2][]string{{"已全额退款", "全部款项已退回", "多付的款项正在退回"}, {"Refunded in full", "All of the money", "The extra money is being returned"}},
			[2][]string{{"支付成功"}, {"Payment received"}},
		},
		{
			"second money is on its way", gateway.PhaseTwice,
			pay.Return{Total: total},
			pay.Return{Total: total, Going: total},
			true, true,
			[2][]string{
				{"支付成功", "多付的款项正在退回您付款时使用的账户", `<dt>正在退回</dt><dd>¥128.00</dd>`},
				{"Payment received", "The extra money is being returned to the account that paid", "<dt>Being returned</dt><dd>¥128.00</dd>"},
			},
			[2][]string{{"已退回", "会自动退回"}, {"Returned", "was returned"}},
		},
		{
			"second money went back", gateway.PhaseTwice,
			pay.Return{Total: total},
			pay.Return{Total: total, Done: total},
			false, true,
			[2][]string{
				{"多付的款项已退回您付款时使用的账户", `<dt>已退回</dt><dd>¥128.00</dd>`},
				{"The extra money was returned to the account that paid", "<dt>Returned</dt><dd>¥128.00</dd>"},
			},
			[2][]string{{"正在退回"}, {"eing returned"}},
		},
		{
			"second money needs the shop", gateway.PhaseTwice,
			pay.Return{Total: total},
			pay.Return{Total: total, Stuck: total},
			false, true,
			[2][]string{{"没能自动退回，请联系商店处理"}, {"could not be returned by itself. Please contact the shop"}},
			[2][]string{{"正在退回", "已退回"}, {"being returned", "was returned"}},
		},
		{
			"late money is on its way", gateway.PhaseLate, none,
			pay.Return{Total: total, Going: total},
			true, false,
			[2][]string{
				{"<h1>款项正在退回</h1>", "订单关闭之后才收到您的付款", `<dt>正在退回</dt><dd>¥128.00</dd>`, "4200002611202611233141826014"},
				{"<h1>Your money is being returned</h1>", "arrived after the order was closed", "<dt>Being returned</dt><dd>¥128.00</dd>", "4200002611202611233141826014"},
			},
			[2][]string{{"已退回"}, {"was returned"}},
		},
		{
			"late money went back", gateway.PhaseLate, none,
			pay.Return{Total: total, Done: total},
			false, false,
			[2][]string{{"<h1>款项已退回</h1>", "款项已退回您付款时使用的账户"}, {"<h1>Your money was returned</h1>", "It was returned to the account that paid"}},
			[2][]string{{"正在退回"}, {"eing returned"}},
		},
		{
			"late money needs the shop", gateway.PhaseLate, none,
			pay.Return{Total: total, Stuck: total},
			false, false,
			[2][]string{{"<h1>退款需要商店处理</h1>", "没能自动退回，请联系商店处理"}, {"<h1>Please contact the shop about your money</h1>", "could not be returned by itself"}},
			[2][]string{{"正在退回", "已退回"}, {"being returned", "was returned"}},
		},
	} {
		for i, lang := range []string{"zh", "en"} {
			t.Run(row.name+" "+lang, func(t *testing.T) {
				t.Parallel()
				f := newFake(row.phase)
				f.page.Refund, f.page.Surplus = row.refund, row.surplus
				res := do(t, f, request{path: home(row.phase) + "?lang=" + lang})
				wantStatus(t, res, http.StatusOK)
				body := bodyOf(t, res)
				wantText(t, body, append(row.says[i], "20261123-0007")...)
				wantNoText(t, body, row.not[i]...)
				checkPage(t, res, body)
				refreshes := strings.Contains(body, `<noscript><meta http-equiv="refresh"`)
				if live := strings.Contains(body, "data-events="); live != row.live || refreshes != row.live {
					t.Errorf("the page follows by stream %t and by refresh %t, want %t", live, refreshes, row.live)
				}
				if seal := strings.Contains(body, `class="seal"`); seal != row.seal {
					t.Errorf("seal: %t", seal)
				}
				golden(t, "back-"+strings.ReplaceAll(strings.ReplaceAll(row.name, ",", ""), " ", "-")+"-"+lang, body)
			})
		}
	}
}
