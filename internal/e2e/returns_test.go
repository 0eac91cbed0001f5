package e2e

import (
	"testing"
	"time"

	"piaohao/internal/gateway"
)

// TestReturns is what payers see of money that goes back, on an open page that follows it to its end.
func TestReturns(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name string
		run  func(*testing.T, *town)
	}{
		{"a refund in two parts", refundedInParts},
		{"money that came twice", secondMoneyReturns},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.run(t, newTown(t))
		})
	}
}

// refund asks for a part of a paid order back.
func (w *town) refund(orderNo, refundNo string, amount fen) {
	w.t.Helper()
	p, err := w.gateway.PaymentByOrder(w.t.Context(), "shop", orderNo)
	w.must(err)
	_, _, err = w.gateway.Refund(w.t.Context(), "shop", p.ID, gateway.RefundInput{RefundNo: refundNo, Amount: amount, Reason: "不要了"})
	w.must(err)
}

func refundedInParts(t *testing.T, w *town) {
	x := open(t, phone)
	page := w.create("20261124-0010", "宋词选 × 1", 12800, "alipay")
	x.visit(method(page, "alipay"))
	x.click("确认付款")
	x.sees("支付成功")
	w.advance(time.Second)
	x.click("返回商家")
	x.sees("支付成功", "支付宝交易号")
	w.refund("20261124-0010", "r1", 3000)
	x.visit(page)
	x.sees("支付成功", "正在退回", "¥30.00")
	x.shows("refund-going-phone")
	w.advance(time.Second)
	x.sees("部分款项已退回", "¥30.00")
	x.shows("refund-partly-phone")
	w.advance(time.Minute)
	w.refund("20261124-0010", "r2", 9800)
	x.visit(page)
	x.sees("正在退回", "¥98.00")
	w.advance(time.Second)
	x.sees("已全额退款", "全部款项已退回", "¥128.00")
	x.shows("refund-whole-phone")
}

func secondMoneyReturns(t *testing.T, w *town) {
	x := open(t, desktop)
	x.visit(w.create("20261124-0012", "明前龙井 × 1", 16800, "wechat"))
	wallet := x.opened("打开模拟钱包")
	wallet.sees("确认付款", "168.00")
	x.visit(method(w.create("20261124-0012", "明前龙井 × 1", 16800, "wechat"), "alipay"))
	x.click("登录支付宝账户")
	x.click("确认付款")
	wallet.click("确认付款")
	wallet.sees("支付成功")
	w.advance(time.Second)
	x.click("返回商家")
	x.arrives("/payment/success/")
	x.sees("支付成功", "多付的款项")
	w.advance(time.Minute)
	x.sees("多付的款项已退回", "¥168.00")
	x.shows("paid-twice-returned-desktop")
}
