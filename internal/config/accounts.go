package config

import (
	"cmp"
	"slices"
	"strings"

	"piaohao/internal/channel"
)

// judge looks for values that are no credentials: samples, the simulator's own numbers, published keys. Platforms whose
// settings are samples and nothing else are as good as unset while their sandbox variable says that nothing is real.
func (l *loader) judge(p *platform) {
	type finding struct {
		name string
		f    fault
	}
	var found []finding
	real := false
	seen := map[string]bool{}
	for _, c := range p.candidates {
		for _, f := range c.set() {
			if seen[f.name] {
				continue
			}
			seen[f.name] = true
			what := judgeValue(f)
			real = real || what == nil || *what != isSample
			if what != nil {
				found = append(found, finding{l.setBy(f), *what})
			}
		}
	}
	if p.isSandbox() && len(found) > 0 && !real {
		p.placeholders = true
		l.warn(found[0].name, fault{
			"placeholder", "its platform has nothing but samples of a document set, so that the simulator stands in for it",
			"to use the platform's own sandbox or real money, put your own values there",
		})
		return
	}
	for _, x := range found {
		l.fail(x.name, x.f)
	}
}

// setBy is the variable that a setting came from.
func (l *loader) setBy(f field) string {
	if variable := f.name + fileSuffix; f.byFile() && l.get(f.name) == "" && l.get(variable) != "" {
		return variable
	}
	return f.name
}

// decide says whether this process is live, once and for all its platforms. ok is false when the settings contradict
// each other.
func (l *loader) decide(platforms []*platform) (live, ok bool) {
	var real, test, asked []string // variables
	ok = true
	for _, p := range platforms {
		sandbox := p.prefix + sandboxSuffix
		switch {
		case p.undecided:
			ok = false
		case p.isSandbox():
			test = append(test, sandbox)
		case p.any():
			real = append(real, cmp.Or(l.firstSet(p), sandbox))
		case p.sandbox != nil:
			asked = append(asked, sandbox)
		}
	}
	switch {
	case len(real) > 0 && len(test) > 0:
		l.fail(test[0], fault{
			"mixed", "asks for a test while " + real[0] + " belongs to real money: one process is all test or all live",
			"set both sandbox variables to the same, or delete the settings of one platform",
		})
		return false, false
	case len(real) == 0 && len(test) == 0 && ok && len(asked) > 0:
		l.fail(asked[0], fault{
			"missing", "says false, and no credentials of any platform are set", "set the credentials, or write true to test",
		})
		ok = false
	}
	return len(real) > 0, ok
}

// firstSet is the variable of p's first setting that is set.
func (l *loader) firstSet(p *platform) string {
	for _, c := range p.candidates {
		for _, f := range c.set() {
			return l.setBy(f)
		}
	}
	return ""
}

// accounts are those of one platform, the first taking new attempts. They are nil when something is wrong.
func (l *loader) accounts(p *platform) []Account {
	if p.placeholders {
		return nil
	}
	var meant []*candidate
	for _, c := range p.candidates {
		if c.meant() {
			meant = append(meant, c)
		}
	}
	urls := l.urls(p, len(meant) > 0)
	if len(meant) == 0 {
		l.missingKey(p)
		return nil
	}
	l.unused(p, meant)
	products := l.products(p, meant[0])
	var out []Account
	for _, c := range meant {
		if !l.inspect(p, c) {
			continue
		}
		a := Account{
			Driver: c.driver, Settings: c.settings, Products: products[c], ReadOnly: c != meant[0],
			NotifyURL: urls.notify, ReturnURL: urls.back,
		}
		a.AppID, a.MerchantID = c.settings.Identity()
		a.Livemode = l.live || !c.driver.Info.Sandbox
		a.ID = accountID(c.driver.Info, a.Account)
		out = append(out, a)
	}
	return out
}

// accountID is "<channel>[-sandbox][-<merchant number>]-<app id>".
func accountID(info channel.Info, a channel.Account) string {
	parts := []string{info.Channel}
	if !a.Livemode {
		parts = append(parts, "sandbox")
	}
	if !info.MerchantOptional {
		parts = append(parts, a.MerchantID)
	}
	return strings.Join(append(parts, a.AppID), "-")
}

// inspect lets the driver say what is wrong with its settings, and reports what is not reported already.
func (l *loader) inspect(p *platform, c *candidate) (fine bool) {
	broken := slices.ContainsFunc(c.fields, l.broken)
	fine = !broken
	for _, f := range c.settings.Inspect(l.now) {
		if f.Level != channel.LevelError {
			continue
		}
		fine = false
		i := slices.IndexFunc(c.fields, func(x field) bool { return x.name == f.Setting })
		switch {
		case broken && (i < 0 || l.broken(c.fields[i])):
			continue // it may follow from what was reported
		case i >= 0:
			f.Setting = l.setBy(c.fields[i])
		}
		l.fail(f.Setting, fault{cmp.Or(f.Code, "invalid"), f.Text, f.Cure})
	}
	appID, merchantID := c.settings.Identity()
	if fine && (appID == "" || merchantID == "" && !c.driver.Info.MerchantOptional) {
		l.fail("", fault{"missing", p.prefix + "_… lacks its app id or its merchant number", "set it"})
		fine = false
	}
	return fine
}

// missingKey reports a platform of which something is set and nothing that says which protocol is meant.
func (l *loader) missingKey(p *platform) {
	first := l.firstSet(p)
	for _, suffix := range []string{notifySuffix, returnSuffix, productsSuffix} {
		if name := p.prefix + suffix; first == "" && !p.isSandbox() && l.get(name) != "" {
			l.fail(name, fault{
				"missing", "is set, and no credentials of its platform are",
				"set the credentials, or " + p.prefix + sandboxSuffix + "=true to test with the simulator, or delete it",
			})
			return
		}
	}
	if first == "" {
		return
	}
	var ways []string
	for _, c := range p.candidates {
		var names []string
		for _, f := range c.fields {
			if !f.weak && f.secret {
				names = append(names, f.name)
			}
		}
		ways = append(ways, c.driver.Info.Channel+" needs "+strings.Join(names, ", "))
	}
	l.fail(first, fault{
		"missing", "is set, and no key that goes with it is",
		strings.Join(ways, "; ") + ". Set the keys of one of them, or delete the platform's settings",
	})
}

// unused warns of settings that only a driver reads which is not meant.
func (l *loader) unused(p *platform, meant []*candidate) {
	for _, c := range p.candidates {
		for _, f := range c.set() {
			used := slices.ContainsFunc(meant, func(m *candidate) bool {
				return slices.ContainsFunc(m.fields, func(x field) bool { return x.name == f.name })
			})
			if !used && !l.broken(f) {
				l.warn(l.setBy(f), fault{"unused", "has no effect without the key of " + c.driver.Info.Channel, "set that key or delete it"})
			}
		}
	}
}

// products are those that <PREFIX>_PRODUCTS names, or all, of each driver. The driver that takes new attempts must
// have one.
func (l *loader) products(p *platform, first *candidate) map[*candidate][]channel.Product {
	name := p.prefix + productsSuffix
	wanted := map[string]bool{}
	for item := range strings.SplitSeq(unquote(l.get(name)), ",") {
		if item = strings.TrimSpace(item); item != "" {
			wanted[item] = true
		}
	}
	out := map[*candidate][]channel.Product{}
	var known []string
	for _, c := range p.candidates {
		for _, product := range c.driver.Info.Products {
			if c == first {
				known = append(known, product.Name)
			}
			if len(wanted) == 0 || wanted[product.Name] {
				out[c] = append(out[c], product)
			}
		}
	}
	for item := range wanted {
		if !slices.Contains(known, item) {
			l.fail(name, fault{
				"unknown", "names a product that " + first.driver.Info.Channel + " does not have",
				"write a comma list of: " + strings.Join(known, ", "),
			})
		}
	}
	return out
}
