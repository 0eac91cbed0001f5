package e2e

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	sims "piaohao/internal/sim/all"
	"piaohao/internal/sim/wechatsim"
)

// deaf is both platforms as late and second money needs them: a close of WeChat Pay's is confirmed, and the payer may pay
// all the same, as if he had been quicker.
type deaf struct {
	sim *sims.Sim
	key *rsa.PrivateKey // the platform's
}

func (d deaf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/v3/pay/") || !strings.HasSuffix(r.URL.Path, "/close") {
		d.sim.Handler().ServeHTTP(w, r)
		return
	}
	timestamp, nonce := strconv.FormatInt(time.Now().Unix(), 10), rand.Text()
	sum := sha256.Sum256([]byte(timestamp + "\n" + nonce + "\n\n")) // 签名验证: three lines, the body is empty
	signature, err := rsa.SignPKCS1v15(nil, d.key, crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	w.Header().Set("Wechatpay-Timestamp", timestamp)
	w.Header().Set("Wechatpay-Nonce", nonce)
	w.Header().Set("Wechatpay-Serial", d.sim.Credentials().WeChat.PublicKeyID)
	w.Header().Set("Wechatpay-Signature", base64.StdEncoding.EncodeToString(signature))
	w.WriteHeader(http.StatusNoContent)
}

// newDeafTown is the program with deaf platforms outside of it. Refunds take a minute of the platforms' clock.
func newDeafTown(t *testing.T) *process {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	srv := httptest.NewUnstartedServer(nil)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	must(t, err)
	sim, err := sims.New(sims.Options{
		PublicURL: "http://localhost:" + port, CashierURL: "http://cashier.localhost:" + port, Wall: time.Now, HTTP: http.DefaultClient,
		Keys: map[string]*rsa.PrivateKey{wechatsim.PlatformKey: key}, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	srv.Config.Handler = deaf{sim, key}
	srv.Start()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var group sync.WaitGroup
	group.Go(func() { tell(ctx, t, sim) })
	t.Cleanup(func() {
		stop()
		group.Wait()
		srv.Close()
		must(t, sim.Close())
	})
	p := start(t, "serve", "SIM_ADDR=off", "SIM_PUBLIC_URL=http://localhost:"+port)
	p.sim, p.cashier = "http://localhost:"+port, "http://cashier.localhost:"+port
	if status, text := call(t, "POST", p.sim+"/sim/faults", `{"refund_ms":60000}`); status != http.StatusOK {
		t.Fatalf("faults: %d %s", status, text)
	}
	return p
}

// arrived lets the platforms' clock go on until a refund that they have taken is with the payer.
func (p *process) arrived() {
	p.t.Helper()
	awaits(p.t, func() bool {
		_, books := call(p.t, "GET", p.sim+"/sim/books", "")
		return strings.Contains(books, `"refunding":`)
	})
	if status, text := call(p.t, "POST", p.sim+"/sim/clock", `{"advance":"61s"}`); status != http.StatusOK {
		p.t.Fatalf("clock: %d %s", status, text)
	}
}

// TestLateRun is money that comes late, comes twice and goes back, in front of one running program for each device: what
// the payer is told at every step, and what the shop shows.
func TestLateRun(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]device{
		"phone":   {width: 390, height: 844, phone: true, agent: phone.agent},
		"desktop": desktop,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newDeafTown(t)
			for _, flow := range []struct {
				name string
				run  func(*testing.T, *process, device)
			}{
				{"A67 the money comes after the shop cancelled", runLate},
				{"A28 the money comes twice", runTwice},
				{"a part goes back", runPart},
				{"all of it goes back", runWhole},
			} {
				t.Run(flow.name, func(t *testing.T) { flow.run(t, p, d) })
			}
		})
	}
}

func runLate(t *testing.T, p *process, d device) {
	x := open(t, d)
	p.buy(x, "宋词选", "微信支付")
	x.sees("等待付款")
	page := evaluate[string](x, "location.href")
	wallet := x.opened("打开模拟钱包")
	wallet.sees("确认付款", "128.00")
	shop := p.order(x, "宋词选")
	shop.click("取消订单")
	shop.sees("已关闭", "如果刚刚付过款，款项会退回")
	shop.fits()
	x.sees("订单已取消", "请勿重复付款")
	x.fits()
	wallet.click("确认付款")
	wallet.sees("支付成功")
	x.comesTo(page, "款项正在退回")
	x.sees("订单关闭之后才收到您的付款", "无需操作", "¥128.00")
	x.never("支付成功", "等待付款", "再次付款")
	x.fits()
	p.arrived()
	x.sees("款项已退回", "到账时间以银行为准", "¥128.00")
	x.never("正在退回")
	x.fits()
	shop.comesTo(evaluate[string](shop, "location.href"), "已退回")
	shop.sees("已关闭", "订单关闭之后才收到付款，不再发货", "多付或迟到的一笔", "¥128.00")
	shop.never("这个订单没有付款")
	shop.fits()
}

func runTwice(t *testing.T, p *process, d device) {
	x := open(t, d)
	p.buy(x, "茶经", "微信支付")
	x.sees("等待付款")
	wallet := x.opened("打开模拟钱包")
	wallet.sees("确认付款", "45.80")
	x.click("改用支付宝")
	x.arrives(p.cashier)
	if !d.phone {
		x.click("登录支付宝账户")
	}
	x.click("确认付款")
	x.sees("支付成功")
	wallet.click("确认付款")
	wallet.sees("支付成功")
	x.click("返回商家")
	x.arrives(p.gateway + "/payment/success/")
	x.comesTo(evaluate[string](x, "location.href"), "多付的款项正在退回")
	x.sees("支付成功", "支付宝交易号", "不止一次付款", "无需操作", "¥45.80")
	x.fits()
	p.arrived()
	x.sees("支付成功", "多付的款项已退回", "¥45.80")
	x.never("正在退回")
	x.fits()
	shop := p.order(x, "茶经")
	shop.comesTo(evaluate[string](shop, "location.href"), "已退回")
	shop.sees("已付款", "多付或迟到的一笔", "¥45.80")
	shop.fits()
}

func runPart(t *testing.T, p *process, d device) {
	x, page := p.paid(t, d, "梦溪笔谈", "66.00")
	shop := p.giveBack(x, "梦溪笔谈", "20.5")
	x.comesTo(page, "正在退回")
	x.sees("支付成功", "商店已发起退款", "¥20.50", "¥66.00")
	x.fits()
	p.arrived()
	x.sees("支付成功", "部分款项已退回", "¥20.50")
	x.never("正在退回", "全额退款")
	x.fits()
	shop.sees("部分退款", "已退回", "¥20.50", "最多 ¥45.50")
	shop.fits()
}

func runWhole(t *testing.T, p *process, d device) {
	x, page := p.paid(t, d, "明前龙井", "168.00")
	shop := p.giveBack(x, "明前龙井", "168")
	x.comesTo(page, "正在退回")
	x.sees("支付成功", "¥168.00")
	p.arrived()
	x.sees("已全额退款", "全部款项已退回", "¥168.00")
	x.never("正在退回", "支付成功")
	x.fits()
	shop.sees("已退款", "钱已全部退回付款人的账户")
	shop.fits()
}

// paid is a page whose payer has paid by WeChat Pay, and its address.
func (p *process) paid(t *testing.T, d device, item, price string) (x *tab, page string) {
	t.Helper()
	x = open(t, d)
	p.buy(x, item, "微信支付")
	x.sees("等待付款", price)
	wallet := x.opened("打开模拟钱包")
	wallet.click("确认付款")
	x.arrives(p.gateway + "/payment/success/")
	x.sees("支付成功", price)
	return x, evaluate[string](x, "location.href")
}

// order is the demo shop's page of its order of an item, in a tab of its own.
func (p *process) order(x *tab, item string) *tab {
	x.t.Helper()
	shop := newTab(x.t, x.ctx, x.device)
	shop.visit(p.shop + "/orders")
	shop.click(item + " × 1")
	shop.arrives(p.shop + "/orders/")
	return shop
}

// giveBack is the shop's own doing, on that page.
func (p *process) giveBack(x *tab, item, yuan string) *tab {
	x.t.Helper()
	shop := p.order(x, item)
	shop.comesTo(evaluate[string](shop, "location.href"), "退款金额")
	shop.fits()
	shop.do(chromedp.SetValue(chromedp.Search(`//input[@name="amount"]`), yuan))
	shop.clickOn(`//button[.="退款"]`)
	shop.sees("店主退的")
	return shop
}

// comesTo opens an address until the page says a text: it does not follow by itself what has ended.
func (x *tab) comesTo(address, text string) {
	x.t.Helper()
	awaits(x.t, func() bool {
		x.visit(address)
		return strings.Contains(evaluate[string](x, "document.body.innerText"), text)
	})
}

// never holds that none of the texts is on the page.
func (x *tab) never(texts ...string) {
	x.t.Helper()
	page := evaluate[string](x, "document.body.innerText")
	for _, text := range texts {
		if strings.Contains(page, text) {
			x.t.Errorf("the page says %q:\n%s", text, page)
		}
	}
}
