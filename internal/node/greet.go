package node

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"

	"piaohao/internal/channel"
	"piaohao/internal/config"
)

// Greet prints the mode, the file that the settings came from and where everything is; in test mode a curl that works as
// it stands.
func (n *Node) Greet(w io.Writer) {
	p := printer{w}
	switch c := n.config; {
	case n.gateway == nil:
		p.say("\n  模拟器 Simulator   %s/sim\n  凭据 Credentials   %s/sim/credentials\n\n", c.SimURL, c.SimURL)
	case c.Live:
		n.greetLive(p)
	default:
		n.greetTest(p)
	}
}

type printer struct{ w io.Writer }

func (p printer) say(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format, args...) }

func (n *Node) greetTest(p printer) {
	c := n.config
	p.say("\n票号 Piaohao · 测试模式，不会真实扣款 · test mode, no real money\n\n")
	if c.DemoAddr != config.Off {
		p.say("  示例商店 Demo shop    %s\n", n.demoURL())
	}
	p.say("  网关 Gateway          %s\n  模拟平台 Simulator    %s/sim\n", c.PublicURL, c.SimURL)
	p.say("  测试密钥 Test key     %s\n", n.keys.Default)
	n.greetSettings(p)
	p.say("\n创建一笔支付 Create a payment:\n\n")
	p.say(`curl -s %s/v1/payments -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' -d '{"order_no":"order-%d","amount":12800,"subject":"测试商品","method":"wechat"}'`,
		c.PublicURL, n.keys.Default, n.now().Unix())
	p.say("\n\n")
}

func (n *Node) greetLive(p printer) {
	c := n.config
	p.say("\n票号 Piaohao · 正式模式，真实收款 · live mode, real money\n\n")
	p.say("  网关 Gateway          %s\n  监听 Listening        %s\n", c.PublicURL, c.ListenAddr)
	n.greetSettings(p)
	p.say("\n创建商户密钥 Make an API key: piaohao keys create --shop %s\n\n", defaultShop)
}

// greetSettings names the accounts of platforms, those that cannot refund, and the file of the settings.
func (n *Node) greetSettings(p printer) {
	for _, a := range n.gateway.Accounts {
		what := "回调 notices at " + cmp.Or(a.NotifyURL, n.config.PublicURL+a.Info.NotifyPath)
		if a.ReadOnly {
			what = "只处理已有订单 ends what was begun"
		}
		if a.WalletURL == "" { // the simulator has its own line
			p.say("  收款账户 Account      %s · %s\n", a.ID, what)
		}
		if r, ok := a.Channel.(channel.Refunder); !ok || !r.CanRefund() {
			p.say("  不能退款 No refunds   %s · 退款会等待，原因见 doctor · refunds wait, see: piaohao doctor\n", a.ID)
		}
	}
	if c := n.config; c.LogDir != config.Off {
		p.say("  日志 Log              %s\n", filepath.Join(c.LogDir, gatewayLog))
	}
	p.say("  配置文件 Settings     %s\n", cmp.Or(n.config.EnvFile, "仅环境变量 the environment alone"))
}
