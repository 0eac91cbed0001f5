package doctor

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/config"
	"piaohao/internal/pay"
)

// Differences of clocks. The platforms refuse signatures from 5 minutes on (签名生成, page 4012365336); a minute is what
// a machine with NTP never reaches.
const (
	skewWarn   = 5 * time.Second
	skewError  = time.Minute
	skewRefuse = 5 * time.Minute
)

// askPlatforms proves every account with one question, and takes the time from the answers.
func (x *examination) askPlatforms(ctx context.Context) {
	over := x.Platforms
	if over == nil {
		over = network()
	}
	x.channels = make([]channel.Channel, len(x.Config.Accounts))
	var worst time.Duration
	var from string // the account that showed it
	for i, a := range x.Config.Accounts {
		r := &recorder{over: over, now: x.Now}
		x.ask(ctx, i, a, r)
		if r.dated && (from == "" || r.skew.Abs() > worst.Abs()) {
			worst, from = r.skew, a.ID
		}
	}
	if from == "" {
		return
	}
	level, cure := channel.LevelOK, ""
	text := "this machine's clock agrees with the platform's"
	if worst.Abs() > skewWarn {
		level, cure = channel.LevelWarn, setClock
		text = "this machine's clock is " + direction(worst) + " the platform's; from 5 minutes on every signature is refused"
	}
	if worst.Abs() > skewError {
		level = channel.LevelError
	}
	x.say(level, "clock", "", text, cure)
}

func direction(skew time.Duration) string {
	if skew > 0 {
		return skew.Round(time.Second).String() + " ahead of"
	}
	return skew.Abs().Round(time.Second).String() + " behind"
}

// ask builds the channel of the account of that index and asks about an order that nobody made.
func (x *examination) ask(ctx context.Context, i int, a config.Account, r *recorder) {
	unmended := slices.ContainsFunc(x.report.Accounts[i].Findings, func(f Finding) bool {
		return f.Level == channel.LevelError && !strings.HasSuffix(f.Setting, notifySuffix) // addresses say nothing of keys
	})
	if unmended {
		x.tell(i, channel.LevelOK, "not_asked", "", "the platform was not asked: mend the errors first", "")
		return
	}
	ch, err := a.Driver.New(a.Settings, channel.Env{
		Account: a.Account, HTTP: client(r), Now: x.Now, Random: x.Random, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		x.tell(i, channel.LevelError, "unusable", "", err.Error(), "mend that setting")
		return
	}
	x.channels[i] = ch
	fetched := false
	if f, ok := ch.(channel.Refresher); ok {
		if _, err := f.Refresh(ctx); err != nil {
			x.verdict(i, a, r, err)
			return
		}
		fetched = r.status == http.StatusOK // and what came could be used
	}
	attempt, err := x.nobodys(a, ch)
	if err != nil {
		x.tell(i, channel.LevelError, "unusable", "", "no random number could be made", "")
		return
	}
	o, err := ch.Query(ctx, attempt)
	switch {
	case err != nil:
		x.verdict(i, a, r, err)
	case o.State != pay.Absent:
		x.tell(i, channel.LevelError, "strange_answer", "", "the platform says that an order exists that nobody made", "report this")
	default:
		x.tell(i, channel.LevelOK, "proven", "",
			"the platform took our signature, its answer verifies, and the order does not exist there: keys and numbers fit", "")
		if !fetched {
			x.unproven(i, a)
		}
	}
}

// nobodys is an attempt under a number that cannot exist: 6 letters that no number of ours begins with, and 104 random bits.
func (x *examination) nobodys(a config.Account, ch channel.Channel) (pay.Attempt, error) {
	var random [13]byte
	if _, err := io.ReadFull(x.Random, random[:]); err != nil {
		return pay.Attempt{}, err
	}
	out := pay.Attempt{
		OutTradeNo: "doctor" + hex.EncodeToString(random[:]), Account: a.ID, Channel: a.Driver.Info.Channel,
		Method: a.Driver.Info.Method, AppID: a.AppID, MerchantID: a.MerchantID, Currency: pay.CNY,
	}
	if v, ok := ch.(channel.Varied); ok {
		out.Variant = v.Variant()
	}
	return out, nil
}

// unproven names the secrets that a query does not use: those beside a private key which are no key text themselves.
// What a Refresher fetches is sealed with them, so that having fetched proves them.
func (x *examination) unproven(i int, a config.Account) {
	all := fields(a.Settings)
	if !slices.ContainsFunc(all, func(f field) bool { return f.key == "private" || f.key == "p12" }) {
		return // the only secret is what signs
	}
	for _, f := range all {
		if f.set && f.key == "" && !f.weak && !f.secret.Empty() {
			x.tell(i, channel.LevelOK, "not_provable", f.name,
				"cannot be proven by a question: only a notice shows whether it is the one set at the platform", "")
		}
	}
}

// verdict turns the error of a question into one finding.
func (x *examination) verdict(i int, a config.Account, r *recorder, err error) {
	var e *channel.Error
	if !errors.As(err, &e) {
		x.tell(i, channel.LevelError, "query_failed", "", err.Error(), "try again")
		return
	}
	if f, failed := connection(e.Cause); failed || unconnected[e.Code] {
		f.code = "platform_" + f.code
		x.tell(i, channel.LevelError, f.code, "", "the platform was not reached: "+f.text, f.cure)
		return
	}
	clocked := e.Code == "timestamp" || strings.Contains(string(r.body), "timestamp")
	if r.dated && r.skew.Abs() >= skewRefuse-skewWarn && clocked {
		x.tell(i, channel.LevelOK, "not_proven", "", "the platform refused the time, not the keys: see the clock", "")
		return
	}
	said := e.Code + " " + e.Text + " " + string(r.body)
	for _, m := range meanings {
		if !m.fits(e, said) {
			continue
		}
		text := m.text
		if m.quote {
			text += " (" + strings.TrimSpace(e.Code+" "+e.Text) + ")"
		}
		x.tell(i, m.level, m.code, variable(a.Settings, m.setting), text, m.cure)
		return
	}
	x.tell(i, channel.LevelError, "query_failed", "", "the question was not answered: "+e.Error(),
		"look the code up in the platform's documents; if it is no word of theirs, try again")
}

// unconnected are the codes of channel.Env.Call without an answer.
var unconnected = map[string]bool{"timeout": true, "unreachable": true, "cut_off": true, "cancelled": true}

// client carries an exchange of the doctor: one try, no redirect followed.
func client(over http.RoundTripper) *http.Client {
	return &http.Client{
		Timeout: channel.CallTimeout, Transport: over,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}
