package ops

import (
	"cmp"
	"io"
	"time"

	"piaohao/internal/gateway"
)

// Timelines writes payments for people: what each is, what stands out, and all that happened.
func Timelines(w io.Writer, all []gateway.Timeline, loc *time.Location) error {
	p := &printer{w: w, loc: loc}
	for i, t := range all {
		if i > 0 {
			p.say("\n")
		}
		p.payment(t)
	}
	return p.err
}

func (p *printer) payment(t gateway.Timeline) {
	v := t.Payment
	mode := "测试 test"
	if v.Livemode {
		mode = "正式 live"
	}
	state := v.Status
	if v.Closing {
		state += ", closing (" + v.CloseReason + ")"
	}
	p.say("支付单 Payment %s · %s · %s\n", v.ID, state, mode)
	p.say("  商户 shop %s · 订单 order_no %s · %d 分 fen %s\n", v.Shop, v.OrderNo, v.Amount, v.Currency)
	p.say("  商品 subject %s\n", v.Subject)
	p.say("  创建 created %s · 到期 expires %s\n", p.at(v.CreatedAt), p.at(v.ExpiresAt))
	if v.PaidAt != "" {
		p.say("  支付 paid %s\n", p.at(v.PaidAt))
	}
	if v.ClosedAt != "" {
		p.say("  关闭 closed %s\n", p.at(v.ClosedAt))
	}
	for _, a := range t.Attempts {
		p.attempt(a)
	}
	for _, r := range t.Refunds {
		p.refund(r)
	}
	p.webhooks(t)
	p.say("\n  时间线 Timeline (UTC%s)\n", p.zone(v.CreatedAt))
	for _, l := range t.Lines {
		p.line(l)
	}
}

func (p *printer) attempt(a gateway.AttemptFacts) {
	p.say("\n  支付尝试 Attempt %s · %s\n", a.ID, a.Status)
	p.say("    out_trade_no %s", a.OutTradeNo)
	if a.TransactionID != "" {
		p.say(" · transaction_id %s", a.TransactionID)
	}
	p.say("\n    账户 account %s · %s %s %s · app_id %s · merchant %s\n", a.Account, a.Channel, a.Product, a.Variant, a.AppID,
		cmp.Or(a.MerchantID, "?"))
	if a.Surplus {
		p.say("    多付 its money came second or late: it is to be returned\n")
	}
	p.notice(a)
	p.call(a)
}

func (p *printer) refund(r gateway.RefundFacts) {
	p.say("\n  退款 Refund %s · %s · %d 分 fen", r.ID, r.Status, r.Amount)
	switch {
	case r.Automatic:
		p.say(" · 自动退回 automatic")
	case r.External:
		p.say(" · 在平台后台操作 made at the platform's console")
	}
	p.say("\n    refund_no %s · out_refund_no %s · %s\n", r.RefundNo, r.OutRefundNo, r.AttemptID)
	if r.Code != "" {
		p.say("    原因 because  %s\n", r.Code)
	}
	if r.SentAt != "" {
		p.say("    发出 sent     %s · 共 %d 次尝试 tries, 连续失败 failures in a row %d\n", p.at(r.SentAt), r.Tries, r.Failures)
	}
	if r.NextAt != "" {
		p.say("    下一步 next   %s %s\n", r.NextAct, p.at(r.NextAt))
	}
}

// notice answers whether the platform's notice came and what was wrong with it.
func (p *printer) notice(a gateway.AttemptFacts) {
	n := a.Notice
	switch {
	case n == nil && a.PaidAt != "":
		p.say("    通知 notice   未见通知，由查询得知 · none came: a query told\n")
	case n == nil:
		p.say("    通知 notice   未收到 · none came. 平台应发往 the platform was told %s\n", a.NotifyURL)
		p.say("                  检查该地址能否从公网访问 · check that it can be reached from outside: piaohao doctor --online\n")
	default:
		c := cureFor(n.Outcome, n.Code)
		verdict := "已采纳 accepted"
		if c != (cure{}) {
			verdict = "未采纳 not accepted"
		}
		p.say("    通知 notice   %s: %s %s ×%d, %s\n", verdict, n.Outcome, n.Code, n.Times, p.at(n.LastAt))
		p.cure(c)
	}
	if a.PaidAt != "" {
		return
	}
	for _, h := range a.Nearby {
		p.say("    附近 nearby   %s 拒绝了 refused: %s %s %s ×%d, %s，可能就是它的 which may be its\n", a.Account, h.Op, h.Outcome, h.Code, h.Times, p.at(h.LastAt))
		p.cure(cureFor(h.Outcome, h.Code))
	}
}

func (p *printer) cure(c cure) {
	if c != (cure{}) {
		p.say("                  %s\n                  %s\n", c.zh, c.en)
	}
}

// call answers what we asked last and when we ask next.
func (p *printer) call(a gateway.AttemptFacts) {
	if h := a.Call; h != nil {
		p.say("    请求 call     %s: %s %s ×%d, %s\n", h.Op, h.Outcome, h.Code, h.Times, p.at(h.LastAt))
		p.cure(cureFor(h.Outcome, h.Code))
	}
	switch {
	case a.BusyUntil != "":
		p.say("    下一步 next   正在处理 being done, until %s at most\n", p.at(a.BusyUntil))
	case a.NextAt != "":
		p.say("    下一步 next   %s %s", a.NextAct, p.at(a.NextAt))
		if a.Failures > 0 {
			p.say(" (连续失败 failures in a row: %d)", a.Failures)
		}
		p.say("\n")
	default:
		p.say("    下一步 next   无 nothing is due\n")
	}
}

// webhooks answers whether the shop was told.
func (p *printer) webhooks(t gateway.Timeline) {
	if len(t.Webhooks) == 0 && !t.Payment.Endpoint {
		p.say("\n  商户通知 Webhook 未设置 WEBHOOK_URL，不会通知商户 · none is set: the shop is told nothing\n")
		return
	}
	if len(t.Webhooks) == 0 {
		p.say("\n  商户通知 Webhook 还没有要发的事件 · no event for the shop yet\n")
		return
	}
	for _, d := range t.Webhooks {
		p.say("\n  商户通知 Webhook %s %s → %s\n", d.Type, d.EventID, cmp.Or(d.Endpoint, "?"))
		switch {
		case d.DeliveredAt != "":
			p.say("    已送达 delivered %s, 次数 tries %d\n", p.at(d.DeliveredAt), d.Tries)
		case d.NextAt != "":
			p.say("    未送达 not delivered, 次数 tries %d, 下次 next %s %s\n", d.Tries, p.at(d.NextAt), d.Error)
		default:
			p.say("    已放弃 given up, 次数 tries %d %s\n", d.Tries, d.Error)
		}
	}
}

var kinds = map[string]string{
	gateway.LineEvent: "决定 decided ", gateway.LineSent: "发出 sent    ", gateway.LineReceived: "收到 received",
	gateway.LineIncident: "异常 incident", gateway.LineWebhook: "商户 told    ", gateway.LineDue: "待办 due     ",
}

func (p *printer) line(l gateway.Line) {
	p.say("  %s  %s  %s", p.at(l.At), cmp.Or(kinds[l.Kind], l.Kind), l.What)
	if l.Attempt != "" {
		p.say("  %s", l.Attempt)
	}
	if l.Detail != "" {
		p.say("  %s", l.Detail)
	}
	if l.Times > 1 {
		p.say("  ×%d", l.Times)
	}
	if l.Until != "" {
		p.say("  至 until %s", p.at(l.Until))
	}
	p.say("\n")
}
