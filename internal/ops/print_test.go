package ops_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"piaohao/internal/gateway"
	"piaohao/internal/ops"
	"piaohao/internal/pay"
	"piaohao/internal/view"
)

var shanghai = time.FixedZone("CST", 8*3600)

// full is a timeline in which every text is what the argument makes of it.
func full(text func(string) string) gateway.Timeline {
	heard := &gateway.Heard{Op: "notice", Outcome: text("quarantine"), Code: text("amount_mismatch"), FirstAt: text("f"), LastAt: text("l"), Times: 2}
	return gateway.Timeline{
		Payment: gateway.PaymentFacts{ID: text("pay_1"), Shop: text("s"), OrderNo: text("o"), Subject: text("茶"), Status: text("open"), Currency: text("CNY"), Closing: true, CloseReason: text("c")},
		Attempts: []gateway.AttemptFacts{
			{ID: text("att_1"), OutTradeNo: text("n"), Account: text("a"), Notice: heard, Call: heard, Nearby: []gateway.Heard{*heard}, NextAct: text("query"), NextAt: text("t")},
			{ID: text("att_2"), NotifyURL: text("https://pay.example/n"), TransactionID: text("tx"), BusyUntil: text("t"), Surplus: true, PaidAt: text("t")},
		},
		Webhooks: []gateway.DeliveryFacts{{EventID: text("evt_1"), Endpoint: text("https://shop.example"), NextAt: text("t"), Error: text("HTTP 500")}, {DeliveredAt: text("t")}, {}},
		Refunds: []gateway.RefundFacts{{
			Refund: view.Refund{ID: text("rfd_1"), Status: text("p"), RefundNo: text("r"), OutRefundNo: text("o"), AttemptID: text("a"), Code: text("c")},
			SentAt: text("t"), NextAct: text("ask"), NextAt: text("t"),
		}},
		Lines: []gateway.Line{{At: text("t"), Kind: text("k"), What: text("w"), Attempt: text("att_1"), Detail: text("d"), Times: 3, Until: text("u")}},
	}
}

func hostile(text string) string {
	return text + "\x1b[2J\x1b]0;title\a\r\nfake line\u009b31m\u202egnp\u200b\x7f\x00\xff"
}

// tame reports the first sign that a terminal would act on.
func tame(t *testing.T, name, out string) {
	t.Helper()
	for _, r := range out {
		if r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r == '\u202e' || r == '\u200b' || r == '\ufffd' {
			t.Errorf("%s: %q in %q", name, r, out)
			return
		}
	}
	if strings.Contains(out, "\nfake line") {
		t.Errorf("%s: a line was forged", name)
	}
}

func TestA103TerminalActsOnNothing(t *testing.T) {
	t.Parallel()
	bad := gateway.Trouble{
		FirstAt: hostile("a"), LastAt: hostile("b"), Times: 2, Account: hostile("c"), What: hostile("d"), Outcome: hostile("e"), Code: hostile("f"),
		OutTradeNo: hostile("g"), PaymentID: hostile("h"), AttemptID: hostile("i"), IncidentID: hostile("j"), Detail: hostile("k"),
	}
	key := gateway.Key{ID: hostile("a"), Shop: hostile("b"), Name: hostile("c"), Hint: hostile("d"), CreatedBy: hostile("e"), RevokedAt: hostile("f")}
	for name, write := range map[string]func(*bytes.Buffer) error{
		"A103 timeline":  func(b *bytes.Buffer) error { return ops.Timelines(b, []gateway.Timeline{full(hostile)}, shanghai) },
		"A103 json":      func(b *bytes.Buffer) error { return ops.JSON(b, []any{full(hostile), bad, key, "\U000e0001"}) },
		"A103 incidents": func(b *bytes.Buffer) error { return ops.Incidents(b, []gateway.Trouble{bad}, shanghai) },
		"A103 keys":      func(b *bytes.Buffer) error { return ops.Keys(b, []gateway.Key{key}, shanghai) },
		"A103 new key":   func(b *bytes.Buffer) error { return ops.NewKey(b, gateway.NewKey{Key: key, Secret: hostile("s")}) },
		"A103 revoked":   func(b *bytes.Buffer) error { return ops.Revoked(b, key) },
	} {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Error(err)
		}
		tame(t, name, out.String())
	}
	var csv bytes.Buffer
	if err := ops.IncidentsCSV(&csv, []gateway.Trouble{bad}); err != nil {
		t.Error(err)
	}
	tame(t, "A103 csv", strings.ReplaceAll(csv.String(), "\r\n", "\n"))
}

// JSON stays the same JSON: only how its signs are written differs.
func TestJSONIsTheSame(t *testing.T) {
	t.Parallel()
	want := full(func(s string) string { return s + "\x1b\u202e\U000e0001<茶>" })
	var out bytes.Buffer
	if err := ops.JSON(&out, want); err != nil {
		t.Fatal(err)
	}
	var got gateway.Timeline
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.Payment != want.Payment || !slices.Equal(got.Lines, want.Lines) {
		t.Errorf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "茶") {
		t.Error("what can be read is written out")
	}
}

func TestA58NoCellIsAFormula(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"=cmd|' /C calc'!A0", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠x", "  =1", `="a","b"`,
	} {
		var out bytes.Buffer
		if err := ops.IncidentsCSV(&out, []gateway.Trouble{{Account: text, Detail: text, Times: 1}}); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(rows) != 2 || len(rows[1]) != len(rows[0]) {
			t.Fatalf("%q: %q %v", text, rows, err)
		}
		for _, cell := range []string{rows[1][3], rows[1][11]} {
			if !strings.HasPrefix(cell, "'") {
				t.Errorf("A58 %q became %q", text, cell)
			}
		}
	}
}

func TestCSVIsRFC4180(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := ops.IncidentsCSV(&out, []gateway.Trouble{{Account: `a "b", c`, Outcome: "forged", Code: "timestamp", Times: 3, OutTradeNo: "n-1"}})
	if err != nil || !strings.Contains(out.String(), `,"a ""b"", c",`) || strings.Count(out.String(), "\r\n") != 2 {
		t.Errorf("%q %v", out.String(), err)
	}
	if rows, err := csv.NewReader(&out).ReadAll(); err != nil || rows[1][2] != "3" || rows[1][7] != "n-1" || !strings.Contains(rows[1][13], "NTP") {
		t.Errorf("%q %v", rows, err)
	}
}

// Every code of an incident has a cure of its own, in both languages, and so has every outcome of a refused notice.
func TestEveryTroubleHasACure(t *testing.T) {
	t.Parallel()
	codes := []string{
		pay.IncidentOrder, pay.IncidentChannel, pay.IncidentAccount, pay.IncidentApp, pay.IncidentMerchant, pay.IncidentVariant,
		pay.IncidentAmount, pay.IncidentCurrency, pay.IncidentNoNumber, pay.IncidentNumberTaken, pay.IncidentNumberNew,
		pay.IncidentSurplus, pay.IncidentLate, pay.IncidentRefund, pay.IncidentRefundAmount, pay.IncidentRefundWaits,
		pay.IncidentRefundFailed, pay.IncidentRefundAbnormal, pay.IncidentRefundRevived,
	}
	seen := map[string]bool{}
	look := func(outcome, code string) {
		var out bytes.Buffer
		if err := ops.IncidentsCSV(&out, []gateway.Trouble{{Outcome: outcome, Code: code}}); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(rows[1][12]) < 10 || len(rows[1][13]) < 10 || seen[rows[1][13]] {
			t.Errorf("%s %s: %q %v", outcome, code, rows, err)
		}
		seen[rows[1][13]] = true
	}
	for _, code := range codes {
		look("quarantine", code)
	}
	for _, outcome := range []string{"forged", "foreign", "unknown_order", "not_stored"} {
		look(outcome, "any")
	}
}

func TestTimelineSaysWhatStandsOut(t *testing.T) {
	t.Parallel()
	at := "2026-11-24T08:00:00.000Z"
	base := func(edit func(*gateway.Timeline)) gateway.Timeline {
		v := gateway.Timeline{
			Payment:  gateway.PaymentFacts{ID: "pay_1", Status: "open", CreatedAt: at, ExpiresAt: at, Endpoint: true},
			Attempts: []gateway.AttemptFacts{{ID: "att_1", Status: "open", NotifyURL: "https://pay.example/notify", Account: "acc"}},
		}
		edit(&v)
		return v
	}
	heard := func(outcome, code string) *gateway.Heard {
		return &gateway.Heard{Op: "notice", Outcome: outcome, Code: code, LastAt: at, Times: 4}
	}
	for _, row := range []struct {
		name string
		edit func(*gateway.Timeline)
		want []string
	}{
		{"no notice came", func(*gateway.Timeline) {}, []string{"none came", "https://pay.example/notify", "doctor --online", "nothing is due", "no event for the shop yet"}},
		{"a forged one may have been its", func(v *gateway.Timeline) { v.Attempts[0].Nearby = []gateway.Heard{*heard("forged", "signature")} }, []string{"none came", "forged signature ×4", "the platform's public key", "16:00:00"}},
		{"it did not fit", func(v *gateway.Timeline) { v.Attempts[0].Notice = heard("quarantine", "amount_mismatch") }, []string{"not accepted: quarantine amount_mismatch ×4", "ship nothing"}},
		{"it was accepted", func(v *gateway.Timeline) { v.Attempts[0].Notice = heard("applied", "paid") }, []string{"已采纳 accepted: applied paid"}},
		{"a query told", func(v *gateway.Timeline) { v.Attempts[0].PaidAt = at }, []string{"a query told"}},
		{"when it asks next", func(v *gateway.Timeline) {
			v.Attempts[0].NextAct, v.Attempts[0].NextAt, v.Attempts[0].Failures = "query", at, 3
			v.Attempts[0].Call = heard("unknown", "unreachable")
		}, []string{"query 2026-11-24 16:00:00.000", "failures in a row: 3", "firewall"}},
		{"it asks now", func(v *gateway.Timeline) { v.Attempts[0].BusyUntil = at }, []string{"being done"}},
		{"no endpoint", func(v *gateway.Timeline) { v.Payment.Endpoint = false }, []string{"WEBHOOK_URL"}},
		{"the shop does not answer", func(v *gateway.Timeline) {
			v.Webhooks = []gateway.DeliveryFacts{{EventID: "evt_1", Endpoint: "https://shop.example", NextAt: at, Tries: 5, Error: "HTTP 500"}}
		}, []string{"not delivered", "HTTP 500", "https://shop.example", "5"}},
		{"the shop was told", func(v *gateway.Timeline) { v.Webhooks = []gateway.DeliveryFacts{{DeliveredAt: at, Tries: 1}} }, []string{"delivered 2026-11-24 16:00:00.000"}},
		{"the shop's refund", func(v *gateway.Timeline) {
			v.Refunds = []gateway.RefundFacts{{Refund: view.Refund{ID: "rfd_1", Status: "pending", Amount: 5}}}
		}, []string{"rfd_1 · pending · 5 分 fen\n"}},
		{"a console's refund", func(v *gateway.Timeline) {
			v.Refunds = []gateway.RefundFacts{{Refund: view.Refund{ID: "rfd_1", Status: "succeeded", Amount: 5, External: true}}}
		}, []string{"5 分 fen · 在平台后台操作 made at the platform's console"}},
		{"an automatic refund", func(v *gateway.Timeline) {
			v.Refunds = []gateway.RefundFacts{{Refund: view.Refund{ID: "rfd_1", Status: "processing", Amount: 5, Automatic: true}}}
		}, []string{"5 分 fen · 自动退回 automatic"}},
		{"given up", func(v *gateway.Timeline) { v.Webhooks = []gateway.DeliveryFacts{{Tries: 9, Error: "HTTP 410"}} }, []string{"given up", "HTTP 410"}},
		{"the zone", func(*gateway.Timeline) {}, []string{"UTC+08:00"}},
	} {
		var out bytes.Buffer
		if err := ops.Timelines(&out, []gateway.Timeline{base(row.edit)}, shanghai); err != nil {
			t.Error(err)
		}
		for _, want := range row.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", row.name, want, out.String())
			}
		}
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestBrokenPipeIsAnError(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"timeline": ops.Timelines(brokenPipe{}, []gateway.Timeline{{}, {}}, time.UTC), "incidents": ops.Incidents(brokenPipe{}, nil, time.UTC),
		"csv": ops.IncidentsCSV(brokenPipe{}, nil), "json": ops.JSON(brokenPipe{}, 1), "keys": ops.Keys(brokenPipe{}, nil, time.UTC),
	} {
		if err == nil {
			t.Errorf("%s: written to nobody", name)
		}
	}
}
