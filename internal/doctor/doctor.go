// Package doctor finds out what is wrong with an installation, and names the cure. It reads settings and files, and
// online it asks each platform one signed question and this server's public address two. It changes nothing: its
// question is a query for an order that cannot exist.
//
// Report is also the shape of `piaohao doctor --json`. Fields are added, never renamed; codes are stable:
//
//	{
//	  "mode": "live",              "test" or "live", as far as the settings say
//	  "starts": true,              false: serve refuses these settings
//	  "env_file": ".env",          "" when none was read
//	  "online": false,
//	  "errors": 1, "warnings": 0,  how many findings of each level
//	  "general": [ finding, … ],
//	  "accounts": [{
//	    "id": "…", "channel": "…", "method": "…", "app_id": "…", "merchant_id": "…",
//	    "use": "new",              "new" takes payments, "old" ends what was begun, "unused" in this mode
//	    "findings": [ finding, … ]
//	  }]
//	}
//
// A finding has level ("ok", "warn", "error"), code and text; and setting, file and line, title (Chinese) and cure where
// there are any. Nothing in it is secret.
package doctor

import (
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/config"
)

// In is what there is to examine.
type In struct {
	Config config.Config // as far as it could be read
	Err    error         // of config.Load: Problems, or why a file could not be read
	Files  Files         // nil = this machine's
	Now    func() time.Time
	Online bool

	Platforms http.RoundTripper // carries questions to the platforms, nil = the network
	Web       http.RoundTripper // carries questions to our public address, nil = the network
	Random    io.Reader         // nil = crypto/rand
}

// Report is everything that was found.
type Report struct {
	Mode     string    `json:"mode"`
	Starts   bool      `json:"starts"`
	EnvFile  string    `json:"env_file"`
	Online   bool      `json:"online"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	General  []Finding `json:"general"`
	Accounts []Account `json:"accounts"`
}

// Account is what was found about one account.
type Account struct {
	ID         string    `json:"id"`
	Channel    string    `json:"channel"`
	Method     string    `json:"method"`
	AppID      string    `json:"app_id"`
	MerchantID string    `json:"merchant_id"`
	Use        string    `json:"use"`
	Findings   []Finding `json:"findings"`
}

// Uses of an account.
const (
	useNew    = "new"
	useOld    = "old"
	useUnused = "unused"
)

// Finding is one thing that was found out.
type Finding struct {
	Level   channel.Level `json:"level"`
	Code    string        `json:"code"`
	Setting string        `json:"setting,omitempty"` // the variable that it is about
	File    string        `json:"file,omitempty"`    // where that was read, "" = the environment, or not known
	Line    int           `json:"line,omitempty"`
	Title   string        `json:"title,omitempty"` // a headline in Chinese
	Text    string        `json:"text"`
	Cure    string        `json:"cure,omitempty"`
}

// Examine looks at everything that can be seen and never stops at the first fault. Online it takes at most
// channel.CallTimeout for each question, one after the other.
func Examine(ctx context.Context, in In) Report {
	if in.Files == nil {
		in.Files = disk{}
	}
	if in.Random == nil {
		in.Random = rand.Reader
	}
	x := &examination{In: in, report: Report{
		Mode: mode(in.Config), Starts: in.Err == nil, EnvFile: in.Config.EnvFile, Online: in.Online,
	}}
	x.settings()
	for _, a := range in.Config.Accounts {
		use := useNew
		if a.ReadOnly {
			use = useOld
		}
		x.account(a, use)
	}
	for _, a := range in.Config.Shelved {
		x.account(a, useUnused)
	}
	x.addresses()
	x.surroundings()
	if in.Online {
		x.askPlatforms(ctx)
		x.askOurselves(ctx)
	}
	x.finish()
	return x.report
}

// examination is one run.
type examination struct {
	In
	report   Report
	problems config.Problems
	channels []channel.Channel // of Config.Accounts, by index; nil where one could not be built
}

func mode(c config.Config) string {
	if c.Live {
		return "live"
	}
	return "test"
}

func (x *examination) say(level channel.Level, code, setting, text, cure string) {
	x.report.General = append(x.report.General, Finding{Level: level, Code: code, Setting: setting, Text: text, Cure: cure})
}

// settings reports what Load found, and which mode that makes.
func (x *examination) settings() {
	code, text := "mode", "test mode: no account of a platform is configured; nobody pays real money"
	switch c := x.Config; {
	case x.Err != nil:
		code, text = "no_start", "the gateway does not start until these settings are mended"
	case c.Live:
		text = "live mode: credentials are set and no *_SANDBOX is true; payers pay real money"
	case len(c.Accounts)+len(c.Shelved) > 0:
		text = "test mode: *_SANDBOX is true; nobody pays real money"
	}
	x.say(channel.LevelOK, code, "", text, "")
	if file := x.Config.EnvFile; file != "" {
		x.say(channel.LevelOK, "env_file", "", "settings were read from "+file+"; the environment wins over it", "")
	} else {
		x.say(channel.LevelOK, "env_file", "", "no .env was read; settings come from the environment", "")
	}
	problems, ok := x.Err.(config.Problems) //nolint:errorlint // Load returns it as it is
	if x.Err != nil && !ok {
		x.say(channel.LevelError, "unreadable", "", x.Err.Error(), "let the user who runs piaohao read that file")
	}
	x.problems = problems
	x.loaded(channel.LevelError, problems)
	x.loaded(channel.LevelWarn, x.Config.Warnings)
}

func (x *examination) loaded(level channel.Level, problems config.Problems) {
	for _, p := range problems {
		x.report.General = append(x.report.General, Finding{
			Level: level, Code: p.Code, Setting: p.Setting, File: p.File, Line: p.Line, Text: p.Text, Cure: p.Cure,
		})
	}
}

// known reports whether Load has said so already: of setting at all, or of its code or text.
func (x *examination) known(setting, code, text string) bool {
	for _, p := range x.problems {
		if setting != "" && p.Setting == setting && (code == "" || p.Code == code || p.Text == text) {
			return true
		}
	}
	return false
}

// finish gives the findings their headlines, takes out what must not be shown, and counts.
func (x *examination) finish() {
	hide := x.secrets()
	each := func(list []Finding) {
		for i := range list {
			f := &list[i]
			f.Title = titles[f.Code]
			f.Text, f.Cure = hide(printable(f.Text)), hide(printable(f.Cure))
			switch f.Level {
			case channel.LevelError:
				x.report.Errors++
			case channel.LevelWarn:
				x.report.Warnings++
			case channel.LevelOK:
			}
		}
	}
	each(x.report.General)
	for i := range x.report.Accounts {
		each(x.report.Accounts[i].Findings)
	}
	if x.report.Accounts == nil {
		x.report.Accounts = []Account{}
	}
}
