package e2e

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// TestPayer is what payers do in front of one running program, each with a browser of its own.
func TestPayer(t *testing.T) {
	t.Parallel()
	p := start(t, "serve")
	for _, flow := range []struct {
		name string
		run  func(*testing.T, *process)
	}{
		{"WeChat on a desktop", wechatDesktop},
		{"WeChat without JavaScript", wechatPlain},
		{"Alipay on a desktop", alipayDesktop},
		{"Alipay on a phone", alipayPhone},
		{"Alipay without JavaScript", alipayPlain},
		{"back, and over to the other method", overToAlipay},
		{"the other method at once, and back again", backToWeChat},
		{"the shop cancels", shopCancels},
		{"refused in the wallet, then paid", refusedThenPaid},
		{"short of balance at the cashier, then paid", shortThenPaid},
	} {
		t.Run(flow.name, func(t *testing.T) {
			t.Parallel()
			flow.run(t, p)
		})
	}
}

// buy takes an item of the demo shop and presses a method's button.
func (p *process) buy(x *tab, item, method string) {
	x.t.Helper()
	x.visit(p.shop)
	x.clickOn(`//li[h2="` + item + `"]//button[.="` + method + `"]`)
}

// delivered waits for the shop's own word: it has the money by a webhook that it verified.
func (p *process) delivered(x *tab) {
	x.t.Helper()
	x.click("返回商店")
	x.arrives(p.shop + "/orders/")
	x.sees("已付款", "钱已收到")
}

func wechatDesktop(t *testing.T, p *process) {
	x := open(t, desktop)
	p.buy(x, "宋词选", "微信支付")
	x.arrives(p.gateway + "/payment/process/")
	x.sees("示例书店", "宋词选 × 1", "128.00", "等待付款", "还剩 29:", "测试模式")
	wallet := x.opened("打开模拟钱包")
	wallet.sees("确认付款", "宋词选 × 1", "128.00")
	wallet.click("确认付款")
	wallet.sees("支付成功")
	x.arrives(p.gateway + "/payment/success/")
	x.sees("支付成功", "微信支付", "128.00", "微信交易单号")
	p.delivered(x)
}

// wechatPlain has nothing but HTML: the page refreshes itself.
func wechatPlain(t *testing.T, p *process) {
	x := open(t, desktop.withoutScript())
	p.buy(x, "梦溪笔谈", "微信支付")
	x.arrives(p.gateway + "/payment/process/")
	x.sees("66.00", "等待付款")
	wallet := x.opened("打开模拟钱包")
	wallet.click("确认付款")
	wallet.sees("支付成功")
	x.arrives(p.gateway + "/payment/success/")
	x.sees("支付成功")
	p.delivered(x)
}

func alipayDesktop(t *testing.T, p *process) {
	x := open(t, desktop)
	p.buy(x, "茶经", "支付宝支付")
	x.arrives(p.cashier)
	x.sees("登录支付宝付款", "茶经 × 1", "45.80")
	x.click("登录支付宝账户")
	x.sees("确认付款")
	x.click("确认付款")
	x.sees("支付成功")
	x.click("返回商家")
	x.arrives(p.gateway + "/payment/success/")
	x.sees("支付成功", "支付宝交易号", "45.80")
	p.delivered(x)
}

func alipayPhone(t *testing.T, p *process) {
	x := open(t, phone)
	p.buy(x, "明前龙井", "支付宝支付")
	x.arrives(p.cashier)
	x.sees("确认付款", "明前龙井 × 1", "168.00")
	x.click("确认付款")
	x.sees("支付成功")
	x.click("返回商家")
	x.arrives(p.gateway + "/payment/success/")
	x.sees("支付成功", "168.00")
	p.delivered(x)
}

func alipayPlain(t *testing.T, p *process) {
	x := open(t, desktop.withoutScript())
	p.buy(x, "正山小种", "支付宝支付")
	x.arrives(p.cashier)
	x.click("登录支付宝账户")
	x.sees("确认付款")
	x.click("确认付款")
	x.sees("支付成功")
	x.click("返回商家")
	x.arrives(p.gateway + "/payment/success/")
	x.sees("支付成功", "99.00")
	p.delivered(x)
}

func overToAlipay(t *testing.T, p *process) {
	x := open(t, desktop)
	p.buy(x, "宋词选", "微信支付")
	x.sees("等待付款")
	x.click("返回，重新选择")
	x.sees("选择支付方式", "微信支付", "支付宝")
	x.click("前往支付宝页面付款")
	x.arrives(p.cashier)
	x.click("登录支付宝账户")
	x.click("确认付款")
	x.sees("支付成功")
	x.click("返回商家")
	x.arrives(p.gateway + "/payment/success/")
	x.sees("支付成功", "支付宝交易号")
	p.delivered(x)
}

// backToWeChat leaves Alipay by the browser's own button: the payment is where it was.
func backToWeChat(t *testing.T, p *process) {
	x := open(t, desktop)
	p.buy(x, "宋词选", "微信支付")
	x.sees("等待付款")
	x.click("改用支付宝")
	x.arrives(p.cashier)
	x.sees("登录支付宝付款")
	x.do(chromedp.NavigateBack())
	x.arrives(p.gateway + "/payment/process/")
	x.sees("去支付宝付款")
	x.click("改用微信支付")
	x.sees("扫一扫", "等待付款")
	wallet := x.opened("打开模拟钱包")
	wallet.click("确认付款")
	x.arrives(p.gateway + "/payment/success/")
	x.sees("支付成功", "微信交易单号")
}

// shopCancels in one tab while another shows the code.
func shopCancels(t *testing.T, p *process) {
	x := open(t, desktop)
	p.buy(x, "宋词选", "微信支付")
	x.sees("等待付款")
	shop := newTab(t, x.ctx, desktop)
	shop.visit(p.shop + "/orders")
	shop.click("宋词选 × 1")
	shop.click("取消订单")
	shop.sees("已关闭", "这个订单没有付款")
	x.sees("订单已取消")
	x.click("返回商店")
	x.sees("已关闭")
}

func refusedThenPaid(t *testing.T, p *process) {
	x := open(t, phone)
	p.buy(x, "茶样一泡", "微信支付")
	x.sees("另一部手机", "0.01", "等待付款")
	wallet := x.opened("打开模拟钱包")
	wallet.click("取消")
	wallet.sees("已取消付款")
	x.sees("等待付款")
	wallet.click("重新付款")
	wallet.sees("支付成功")
	x.arrives(p.gateway + "/payment/success/")
	x.sees("支付成功", "0.01")
}

func shortThenPaid(t *testing.T, p *process) {
	x := open(t, desktop)
	p.buy(x, "茶样一泡", "支付宝支付")
	x.click("登录支付宝账户")
	x.click("余额不足")
	x.sees("余额不足，付款未完成")
	x.click("确认付款")
	x.sees("支付成功")
	x.click("返回商家")
	x.sees("支付成功", "支付宝交易号")
}
