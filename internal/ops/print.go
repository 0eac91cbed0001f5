package ops

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"piaohao/internal/gateway"
)

// printer writes for a terminal and keeps the first error. What it is handed may come from anybody: signs that a terminal
// would act on are written out (A103).
type printer struct {
	w   io.Writer
	loc *time.Location
	err error
}

func (p *printer) say(format string, args ...any) {
	for i, a := range args {
		if text, ok := a.(string); ok {
			args[i] = Visible(text)
		}
	}
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}

// Visible is text with everything that a terminal would act on, or that reads differently from what it is, written out.
func Visible(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteString(text[i : i+size])
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		i += size
	}
	return b.String()
}

// at writes a time of the JSON for people.
func (p *printer) at(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	return t.In(p.loc).Format("2006-01-02 15:04:05.000")
}

// zone is how far the clock of people was from UTC then, as +08:00.
func (p *printer) zone(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return "?"
	}
	return t.In(p.loc).Format("-07:00")
}

// JSON writes value as indented JSON without a sign that a terminal would act on.
func JSON(w io.Writer, value any) error {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	var b strings.Builder
	for _, r := range string(text) {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	_, err = io.WriteString(w, b.String()+"\n")
	return err
}

// Incidents writes a list for people.
func Incidents(w io.Writer, all []gateway.Trouble, loc *time.Location) error {
	p := &printer{w: w, loc: loc}
	if len(all) == 0 {
		p.say("没有被拒绝的通知，也没有异常 · no refused notices and no incidents\n")
	}
	for _, t := range all {
		p.say("%s  ×%d  %s  %s  %s %s\n", p.at(t.LastAt), t.Times, t.Account, t.What, t.Outcome, t.Code)
		if t.Times > 1 && t.FirstAt != t.LastAt {
			p.say("    自 since      %s\n", p.at(t.FirstAt))
		}
		if t.OutTradeNo != "" {
			p.say("    单号 number   %s\n", t.OutTradeNo)
		}
		if t.IncidentID != "" {
			p.say("    异常 incident %s  %s %s\n", t.IncidentID, t.PaymentID, t.AttemptID)
		} else if t.AttemptID != "" {
			p.say("    尝试 attempt  %s\n", t.AttemptID)
		}
		if t.Detail != "" {
			p.say("    详情 detail   %s\n", t.Detail)
		}
		c := cureFor(t.Outcome, t.Code)
		p.say("    处理 cure     %s\n                  %s\n", c.zh, c.en)
	}
	return p.err
}

// troubleColumns is the head of the CSV: public names, only added to.
var troubleColumns = []string{
	"last_at", "first_at", "times", "account", "what", "outcome", "code", "out_trade_no", "payment_id", "attempt_id", "incident_id",
	"detail", "cure_zh", "cure_en",
}

// IncidentsCSV writes a list as RFC 4180 says, for spreadsheets: no cell is taken for a formula (A58).
func IncidentsCSV(w io.Writer, all []gateway.Trouble) error {
	out := csv.NewWriter(w)
	out.UseCRLF = true
	rows := [][]string{troubleColumns}
	for _, t := range all {
		c := cureFor(t.Outcome, t.Code)
		row := []string{
			t.LastAt, t.FirstAt, strconv.FormatInt(t.Times, 10), t.Account, t.What, t.Outcome, t.Code, t.OutTradeNo, t.PaymentID,
			t.AttemptID, t.IncidentID, t.Detail, c.zh, c.en,
		}
		for i := range row {
			row[i] = cell(row[i])
		}
		rows = append(rows, row)
	}
	if err := out.WriteAll(rows); err != nil {
		return err
	}
	return out.Error()
}

// formula are the signs with which a cell begins that a spreadsheet computes: OWASP, "CSV Injection", with the full-width
// forms that some take for the same.
const formula = "=+-@\t\r\n＝＋－＠"

// cell is text that a spreadsheet shows as it is. Signs that cannot be seen are written out, so that none can hide a
// formula behind them.
func cell(text string) string {
	if first, _ := utf8.DecodeRuneInString(strings.TrimLeft(text, " ")); strings.ContainsRune(formula, first) && text != "" {
		text = "'" + text
	}
	return Visible(text)
}

// Keys writes the list of keys for people.
func Keys(w io.Writer, all []gateway.Key, loc *time.Location) error {
	p := &printer{w: w, loc: loc}
	if len(all) == 0 {
		p.say("还没有密钥 · no keys yet: piaohao keys create --shop default\n")
	}
	for _, k := range all {
		state := "有效 works"
		if k.RevokedAt != "" {
			state = "已吊销 revoked " + p.at(k.RevokedAt) + " " + k.RevokedBy
		}
		p.say("%s  %s  …%s  %s  %s %s  %s\n", k.ID, k.Shop, k.Hint, state, p.at(k.CreatedAt), k.CreatedBy, k.Name)
	}
	return p.err
}

// NewKey writes a key the only time that it can be read: on a line of its own, so that programs find it too.
func NewKey(w io.Writer, k gateway.NewKey) error {
	p := &printer{w: w}
	p.say("商户 %s 的密钥 %s，只显示这一次 · API key %s of shop %s, shown this once:\n\n%s\n\n", k.Shop, k.ID, k.ID, k.Shop, k.Secret)
	return p.err
}

// Revoked writes that a key is refused from now on.
func Revoked(w io.Writer, k gateway.Key) error {
	p := &printer{w: w}
	p.say("密钥 %s（商户 %s）已吊销，立即失效 · API key %s of shop %s is revoked and refused from now on\n", k.ID, k.Shop, k.ID, k.Shop)
	return p.err
}
