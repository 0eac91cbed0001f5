package e2e

import (
	"testing"
	"time"

	"piaohao/internal/pay"
)

type fen = pay.Fen

// TestEndings is what payers see in the ends that a running program reaches after half an hour, or by a race.
func TestEndings(t *testing.T) {
	t.Parallel()
	for _, ending := range []struct {
		name string
		run  func(*testing.T, *town)
	}{
		{"A31 coming back proves nothing", confirming},
		{"time runs out", expires},
		{"an old code is paid after the other method", paidTwice},
	} {
		t.Run(ending.name, func(t *testing.T) {
			t.Parallel()
			ending.run(t, newTown(t))
		})
	}
}

func confirming(t *testing.T, w *town) {
	x := open(t, desktop)
	page := w.create("20261124-0007", "宋词选 × 1", 12800, "alipay")
	x.visit(method(page, "alipay"))
	x.click("登录支付宝账户")
	x.click("确认付款")
	x.sees("支付成功")
	x.click("返回商家")
	x.arrives("/payment/success/")
	x.sees("正在确认，请勿重复付款", "等待支付平台确认")
	x.shows("confirming-desktop")
	w.advance(time.Second)
	x.sees("支付成功", "支付宝交易号")
}

func expires(t *testing.T, w *town) {
	x := open(t, desktop)
	x.visit(w.create("20261124-0008", "茶经 × 1", 4580, "wechat"))
	x.sees("等待付款", "还剩 30:00")
	w.advance(30*time.Minute + time.Second)
	w.advance(time.Minute)
	x.sees("付款时间已过", "请勿重复付款")
	x.shows("expired-desktop")
}

func paidTwice(t *testing.T, w *town) {
	x := open(t, phone)
	x.visit(w.create("20261124-0009", "明前龙井 × 1", 16800, "wechat"))
	wallet := x.opened("打开模拟钱包")
	wallet.sees("确认付款", "168.00")
	x.click("改用支付宝")
	x.click("确认付款")
	x.sees("支付成功")
	wallet.click("确认付款")
	wallet.sees("支付成功")
	w.advance(time.Second)
	x.click("返回商家")
	x.arrives("/payment/success/")
	x.sees("支付成功", "多付的款项")
	x.shows("paid-twice-phone")
}
