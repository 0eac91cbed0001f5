package doctor

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"piaohao/internal/channel"
)

// notes are findings that are neither good nor bad.
var notes = []string{
	"no_start", "played", "not_offered", "shelved", "left_out", "no_webhook", "not_asked", "not_proven", "not_provable",
}

// Print writes r for people: a group for the installation and one for each account, each fault with its cure below it.
func (r Report) Print(w io.Writer) error {
	p := printer{w: w}
	p.line("")
	state := map[string]string{"live": "正式模式 live mode", "test": "测试模式 test mode"}[r.Mode]
	if !r.Starts {
		state = "配置有误，无法启动 does not start"
	}
	p.line("票号 Piaohao · 体检 doctor · %s", state)
	p.line("")
	p.line("设置 Settings")
	p.findings(r.General)
	for _, a := range r.Accounts {
		p.line("")
		p.line("账户 Account %s", printable(a.ID))
		p.findings(a.Findings)
	}
	p.line("")
	p.line("%d 个错误 errors, %d 个提醒 warnings", r.Errors, r.Warnings)
	if !r.Online {
		p.line("向平台求证、检查回调地址 To ask the platforms and try the notice addresses: piaohao doctor --online")
	}
	p.line("")
	p.line("常见问题 Frequent questions")
	for _, q := range questions {
		p.line("  %s %s", q.zh, q.en)
		p.line("    %s", q.look)
	}
	return p.err
}

// questions are the guide's, each with where its answer is.
var questions = []struct{ zh, en, look string }{
	{"支付回调没有收到？", "No notice arrived?", "*_NOTIFY_URL, PUBLIC_URL: piaohao doctor --online; 被拒绝的回调 refused notices: piaohao incidents"},
	{"签名验证失败？", "A signature does not verify?", "密钥 keys: piaohao doctor --online; 哪一步拒绝的 which check refused: piaohao incidents"},
	{"支付成功但订单状态未更新？", "Paid, but the order was not updated?", "piaohao payment show <单号 any number>"},
}

type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) findings(list []Finding) {
	for _, f := range list {
		mark := map[channel.Level]string{channel.LevelOK: "✓", channel.LevelWarn: "!", channel.LevelError: "✗"}[f.Level]
		if slices.Contains(notes, f.Code) {
			mark = "·"
		}
		var parts []string
		if f.File != "" {
			parts = append(parts, f.File+":"+strconv.Itoa(f.Line))
		}
		for _, part := range []string{f.Title, f.Setting} {
			if part != "" {
				parts = append(parts, part)
			}
		}
		p.line("  %s %s", mark, printable(strings.Join(append(parts, f.Text), " · ")))
		if f.Cure != "" {
			p.line("    → %s", f.Cure)
		}
	}
}
