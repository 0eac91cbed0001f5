package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"piaohao/internal/channel"
	"piaohao/internal/channel/all"
	"piaohao/internal/config"
)

// others are the permissions of everybody but a file's owner.
const others fs.FileMode = 0o077

// A clock outside of these years was never set: certificates and signatures fail.
const (
	firstYear = 2026
	lastYear  = 2100
)

// Prefixes of TRUSTED_PROXIES shorter than these (bits) trust strangers, not proxies.
const (
	broadV4 = 8
	broadV6 = 16
)

// surroundings looks at files, the database's place, proxies and the clock.
func (x *examination) surroundings() {
	x.envFile()
	x.dataDir()
	x.database()
	x.logDir()
	x.proxies()
	x.offered()
	x.webhook()
	if year := x.Now().Year(); year < firstYear || year > lastYear {
		x.say(channel.LevelError, "clock", "", "this machine's clock says it is the year "+strconv.Itoa(year), setClock)
	}
}

// setClock is the cure of every wrong clock.
const setClock = "set the clock by NTP: timedatectl set-ntp true (or: chronyc makestep)"

func (x *examination) envFile() {
	path := x.Config.EnvFile
	if path == "" {
		return
	}
	facts, err := x.Files.Stat(path)
	if err != nil {
		return // it was read a moment ago
	}
	if facts.Mode.Perm()&others != 0 {
		x.say(channel.LevelWarn, "env_file_mode", "",
			fmt.Sprintf("%s can be read by others on this machine (mode %04o)", path, facts.Mode.Perm()), "chmod 600 "+path)
	}
	if facts.Owner > 0 && facts.Self > 0 && facts.Owner != facts.Self { // root may own it
		x.say(channel.LevelWarn, "env_file_owner", "",
			path+" belongs to another user (id "+strconv.Itoa(facts.Owner)+"), who can change where money goes",
			"chown "+strconv.Itoa(facts.Self)+" "+path)
	}
}

func (x *examination) dataDir() {
	dir := x.Config.DataDir
	if dir == "" || x.known("DATA_DIR", "", "") {
		return
	}
	facts, err := x.Files.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the first start makes it, 0700
		err = x.Files.Writable(dir)
	case err == nil && !facts.Mode.IsDir():
		err = errors.New("it is a file")
	case err == nil && facts.Mode.Perm()&others != 0:
		x.say(channel.LevelWarn, "data_dir_mode", "DATA_DIR",
			fmt.Sprintf("%s is open to others on this machine (mode %04o)", dir, facts.Mode.Perm()), "chmod 700 "+dir)
		return
	case err == nil:
		err = x.Files.Writable(dir)
	}
	if err != nil {
		x.say(channel.LevelError, "data_dir", "DATA_DIR", "the data folder "+dir+" cannot be used: "+reason(err),
			"run this as the user who runs piaohao, and give that user the folder: mkdir -p "+dir+" && chmod 700 "+dir)
	}
}

// reason is an error of the file system without its path, which the text names already.
func reason(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}

func (x *examination) database() {
	path, sqlite := strings.CutPrefix(x.Config.Database.Reveal(), "sqlite:")
	if x.known("DATABASE_URL", "", "") || path == "" {
		return
	}
	if !sqlite {
		x.say(channel.LevelOK, "database", "", "PostgreSQL; that its mode is "+x.report.Mode+" is checked at every start", "")
		return
	}
	name := filepath.Base(path)
	if other := map[string]string{"live": "test.db", "test": "live.db"}[x.report.Mode]; name == other {
		x.say(channel.LevelError, "database_mode", "DATABASE_URL", "the database "+path+" is the other mode's",
			"use "+filepath.Join(filepath.Dir(path), x.report.Mode+".db"))
		return
	}
	text := "SQLite at " + path
	if _, err := x.Files.Stat(path); errors.Is(err, fs.ErrNotExist) {
		text += "; the first start makes it"
	}
	x.say(channel.LevelOK, "database", "", text, "")
}

func (x *examination) logDir() {
	dir := x.Config.LogDir
	if dir == "" || dir == config.Off || x.known("LOG_DIR", "", "") {
		return
	}
	if err := x.Files.Writable(dir); err != nil {
		x.say(channel.LevelError, "log_dir", "LOG_DIR", "logs cannot be written to "+dir+": "+reason(err),
			"give the folder to the user who runs piaohao, or set LOG_DIR=off")
	}
}

func (x *examination) proxies() {
	for _, p := range x.Config.TrustedProxies {
		if p.Addr().Is4() && p.Bits() < broadV4 || p.Addr().Is6() && p.Bits() < broadV6 {
			x.say(channel.LevelWarn, "trusted_proxies", "TRUSTED_PROXIES",
				p.String()+" believes strangers: anybody can claim any address, and limits per address do not hold",
				"name the addresses of your own proxy only, for example 127.0.0.1/32")
			return
		}
	}
}

func (x *examination) webhook() {
	c := x.Config
	switch {
	case x.known("WEBHOOK_URL", "", "") || x.known("WEBHOOK_SECRET", "", ""):
	case c.WebhookURL == "":
		x.say(channel.LevelOK, "no_webhook", "", "no WEBHOOK_URL: your shop hears of payments only when it asks", "")
	case c.Live && strings.HasPrefix(c.WebhookURL, "http://"):
		x.say(channel.LevelWarn, "webhook_plain", "WEBHOOK_URL", "events go to your shop over http: others can read them",
			"give the shop a certificate and write https://")
	}
}

// offered names the methods that nobody is offered, and why.
func (x *examination) offered() {
	has, seen := map[string]bool{}, map[string]bool{}
	for _, a := range x.Config.Accounts {
		has[a.Driver.Info.Method] = has[a.Driver.Info.Method] || !a.ReadOnly
	}
	for _, d := range all.Drivers {
		method, prefix := d.Info.Method, d.Info.Prefix
		if has[method] || seen[method] {
			continue
		}
		seen[method] = true
		switch {
		case x.troubled(prefix): // said already
		case !x.Config.Live:
			x.say(channel.LevelOK, "played", "", method+" is played by the built-in simulator", "")
		default:
			x.say(channel.LevelOK, "not_offered", "", method+" is not offered to payers: no "+prefix+"_* credentials are set", "")
		}
	}
}

// troubled reports whether Load found faults in settings of one platform.
func (x *examination) troubled(prefix string) bool {
	return slices.ContainsFunc(x.problems, func(p config.Problem) bool { return strings.HasPrefix(p.Setting, prefix+"_") })
}

// account reports one account by what its settings say.
func (x *examination) account(a config.Account, use string) {
	out := Account{
		ID: a.ID, Channel: a.Driver.Info.Channel, Method: a.Driver.Info.Method,
		AppID: a.AppID, MerchantID: a.MerchantID, Use: use, Findings: []Finding{},
	}
	x.report.Accounts = append(x.report.Accounts, out)
	n := len(x.report.Accounts) - 1
	switch use {
	case useNew:
		x.tell(n, channel.LevelOK, "in_use", "", "takes new payments", "")
	case useOld:
		x.tell(n, channel.LevelOK, "read_only", "", "ends what was begun with it; new payments go to another account of the method", "")
	case useUnused:
		x.tell(n, channel.LevelOK, "shelved", "",
			"test mode plays this platform by its own simulator: these credentials were inspected, and are never sent anywhere", "")
	}
	for _, f := range a.Settings.Inspect(x.Now()) {
		if !x.known(f.Setting, f.Code, f.Text) {
			x.tell(n, f.Level, f.Code, f.Setting, f.Text, f.Cure)
		}
	}
	if use == useNew {
		x.products(n, a)
	}
}

// tell adds a finding about the account of that index.
func (x *examination) tell(account int, level channel.Level, code, setting, text, cure string) {
	findings := &x.report.Accounts[account].Findings
	*findings = append(*findings, Finding{Level: level, Code: code, Setting: setting, Text: text, Cure: cure})
}

// products says what payers are offered, what they are not, and why.
func (x *examination) products(n int, a config.Account) {
	info, list := a.Driver.Info, a.Driver.Info.Prefix+"_PRODUCTS"
	var offered, byName, left []string
	var phone, desktop bool
	could := map[string]bool{}
	for _, p := range info.Products {
		could["phone"], could["desktop"] = could["phone"] || p.Phone, could["desktop"] || p.Desktop
		switch {
		case !slices.ContainsFunc(a.Products, func(q channel.Product) bool { return q.Name == p.Name }):
			left = append(left, p.Name)
		case !p.Phone && !p.Desktop:
			byName = append(byName, p.Name)
		default:
			offered = append(offered, p.Name)
			phone, desktop = phone || p.Phone, desktop || p.Desktop
		}
	}
	if len(offered) > 0 {
		x.tell(n, channel.LevelOK, "offered", "", "payers are offered "+strings.Join(offered, ", "), "")
	}
	if len(byName) > 0 {
		x.tell(n, channel.LevelOK, "by_name", "", "offered when a shop asks for them by name: "+strings.Join(byName, ", "), "")
	}
	if len(left) > 0 {
		x.tell(n, channel.LevelOK, "left_out", "", "not offered, because "+list+" leaves them out: "+strings.Join(left, ", "), "")
	}
	for _, device := range []struct {
		name string
		has  bool
	}{{"phone", phone}, {"desktop", desktop}} {
		if could[device.name] && !device.has {
			x.tell(n, channel.LevelWarn, "no_"+device.name, list, "payers on a "+device.name+" are not offered "+info.Method,
				"add a product for them to "+list+", or unset it to offer all")
		}
	}
}

// skewOf is by how much now, the end of an exchange that began at start, is ahead of the peer's date. A Date has whole
// seconds and was written at some moment of the exchange, so that much is no difference.
func skewOf(start, end, date time.Time) time.Duration {
	switch {
	case date.Before(start.Truncate(time.Second)):
		return start.Sub(date)
	case date.After(end):
		return end.Sub(date)
	}
	return 0
}
