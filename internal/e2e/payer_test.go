package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
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
		{"nobody's pages", nobodysPages},
		{"A92 the cashier in a foreign frame", framed},
		{"A98 the address is told to nobody", told},
		{"at night", night},
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
	x.sees("半亩书茶", "宋词选 × 1", "128.00", "等待付款", "还剩 29:", "测试模式")
	x.shows("scan-desktop")
	if side := evaluate[float64](x, `document.querySelector(".qr").getBoundingClientRect().width`); side < 240 {
		t.Errorf("the code is %v px wide", side)
	}
	wallet := x.opened("打开模拟钱包")
	wallet.sees("确认付款", "宋词选 × 1", "128.00")
	wallet.click("确认付款")
	wallet.sees("支付成功")
	x.arrives(p.gateway + "/payment/success/")
	x.sees("支付成功", "微信支付", "128.00", "微信交易单号")
	x.shows("paid-desktop")
	p.delivered(x)
	x.shows("shop-order-desktop")
}

// wechatPlain has nothing but HTML: the page refreshes itself.
func wechatPlain(t *testing.T, p *process) {
	x := open(t, desktop.withoutScript())
	p.buy(x, "梦溪笔谈", "微信支付")
	x.arrives(p.gateway + "/payment/process/")
	x.sees("66.00", "等待付款")
	if !x.asked("/payment/assets/cashier.") || x.asked("/payment/assets/live.") {
		t.Errorf("scripts are not off: %v", x.paths)
	}
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
	x.shows("alipay-login-desktop")
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
	x.shows("alipay-wap-phone")
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
	x.shows("choose-desktop")
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
	order := evaluate[string](x, `document.querySelector(".facts dd").innerText`) // other flows buy the same at the same time
	shop := newTab(t, x.ctx, desktop)
	shop.visit(p.shop + "/orders")
	shop.clickOn(`//a[@href="/orders/` + order + `"]`)
	shop.click("取消订单")
	shop.sees("已关闭", "这个订单没有付款")
	x.sees("订单已取消")
	x.fits()
	x.click("返回商店")
	x.sees("已关闭")
}

func refusedThenPaid(t *testing.T, p *process) {
	x := open(t, phone)
	p.buy(x, "试饮茶样", "微信支付")
	x.sees("另一部手机", "0.01", "等待付款")
	x.shows("scan-phone")
	wallet := x.opened("打开模拟钱包")
	wallet.sees("确认付款")
	wallet.shows("wallet-phone")
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
	p.buy(x, "试饮茶样", "支付宝支付")
	x.click("登录支付宝账户")
	x.click("余额不足")
	x.sees("余额不足，付款未完成")
	x.click("确认付款")
	x.sees("支付成功")
	x.click("返回商家")
	x.sees("支付成功", "支付宝交易号")
}

// nobodysPages are what a lost payer meets: a friendly page and the right status.
func nobodysPages(t *testing.T, p *process) {
	x := open(t, phone)
	x.want = append(x.want, "status of 404")
	x.visit(p.gateway + "/payment")
	x.sees("这里是收银台", "请从商店的订单进入付款页面")
	x.fits()
	for _, path := range []string{"/payment/process/" + strings.Repeat("z", 32), "/payment/success/1", "/payment/x"} {
		x.visit(p.gateway + path)
		x.sees("没有找到这个页面", "没有发生扣款")
		x.fits()
	}
	x.visit(p.gateway + "/payment/success")
	x.sees("付款结果请看商店订单", "请勿重复付款")
}

// framed puts the cashier into another site's page; the browser leaves the frame empty and says why.
func framed(t *testing.T, p *process) {
	x := open(t, desktop)
	p.buy(x, "宋词选", "微信支付")
	x.arrives("/payment/process/")
	page := evaluate[string](x, "location.href")
	thief := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<link rel="icon" href="data:,"><iframe src=%q></iframe>`, page)
	}))
	t.Cleanup(thief.Close)
	x.want = append(x.want, "frame-ancestors 'none'")
	x.visit(thief.URL)
	x.logged("frame-ancestors 'none'")
}

// told follows every way out of the cashier: none of the sites hears the address of the payer's page.
func told(t *testing.T, p *process) {
	x := open(t, desktop)
	p.buy(x, "宋词选", "微信支付")
	x.arrives("/payment/process/")
	wallet := x.opened("打开模拟钱包")
	wallet.sees("确认付款")
	x.click("改用支付宝")
	x.arrives(p.cashier)
	for _, at := range []*tab{wallet, x} {
		if referrer := evaluate[string](at, "document.referrer"); referrer != "" {
			t.Errorf("%s heard of %s", evaluate[string](at, "location.host"), referrer)
		}
	}
	wallet.click("确认付款")
	wallet.sees("支付成功")
	x.do(chromedp.NavigateBack()) // nothing is cached: the page is asked for again, and says what is true now
	x.sees("支付成功")
	x.click("返回商店")
	x.arrives(p.shop)
	if referrer := evaluate[string](x, "document.referrer"); referrer != "" {
		t.Errorf("the shop heard of %s", referrer)
	}
}

// night is the same on a phone in the dark, in English.
func night(t *testing.T, p *process) {
	x := open(t, phone.inDark())
	x.visit(p.shop)
	x.sees("一间小店")
	x.shows("shop-phone")
	p.buy(x, "宋词选", "微信支付")
	x.sees("等待付款")
	x.shows("scan-phone-dark")
	x.click("English")
	x.sees("Waiting")
	x.fits()
	wallet := x.opened("Open the test wallet")
	wallet.click("确认付款")
	x.arrives("lang=en")
	x.arrives("/payment/success/")
	x.shows("paid-phone-dark-english")
}
