package e2e

import (
	"testing"
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
	x.sees("支付成功", "收", "微信支付", "128.00")
	x.click("返回商店")
	x.arrives(p.shop + "/orders/")
	x.sees("已付款", "钱已收到")
}
