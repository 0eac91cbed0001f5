package doctor

import (
	"cmp"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"piaohao/internal/channel"
	"piaohao/internal/config"
	"piaohao/internal/secret"
)

// minSecret is the shortest text that is looked for: shorter ones are parts of ordinary words.
const minSecret = 6 // bytes

// secrets returns what replaces every secret of the settings in a text. No finding should hold one; this is the second
// lock, for texts that drivers and platforms wrote.
func (x *examination) secrets() func(string) string {
	var pairs []string
	hide := func(t secret.Text) {
		for line := range strings.Lines(strings.ReplaceAll(t.Reveal(), `\n`, "\n")) {
			line = strings.TrimSpace(line)
			if len(line) >= minSecret && !strings.HasPrefix(line, "-----") {
				pairs = append(pairs, line, secret.Text{}.String())
			}
		}
	}
	hide(x.Config.WebhookSecret)
	if u, err := url.Parse(x.Config.Database.Reveal()); err == nil && u.User != nil {
		password, _ := u.User.Password()
		hide(secret.New(password))
	}
	for _, list := range [][]config.Account{x.Config.Accounts, x.Config.Shelved} {
		for _, a := range list {
			for _, f := range fields(a.Settings) {
				hide(f.secret)
			}
		}
	}
	return strings.NewReplacer(pairs...).Replace
}

// field is one declared setting of a driver.
type field struct {
	name   string      // the variable
	key    string      // "private", "public", "certificate", "p12", "" = no key
	weak   bool        // it refines others
	secret secret.Text // its content where that is secret
	set    bool
}

// fields reads the declarations of a driver's settings: see channel.Settings.
func fields(s channel.Settings) []field {
	v := reflect.ValueOf(s)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	v = v.Elem()
	var out []field
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		f := field{name: tag.Get("env"), key: tag.Get("key"), weak: tag.Get("weak") == "true"}
		if f.name == "" || !v.Field(i).CanInterface() {
			continue
		}
		switch value := v.Field(i).Interface().(type) {
		case secret.Text:
			f.secret, f.set = value, !value.Empty()
		case string:
			f.set = value != ""
		}
		out = append(out, f)
	}
	return out
}

// variable is the set one among the settings that hold a key of that kind, or whose name ends so; "" without one.
// A signing key is a private key, a file that holds one, or else the one secret.
func variable(s channel.Settings, wanted string) string {
	all := fields(s)
	first := func(fits func(field) bool) string {
		if i := slices.IndexFunc(all, func(f field) bool { return f.set && fits(f) }); i >= 0 {
			return all[i].name
		}
		return ""
	}
	of := func(kind string) string { return first(func(f field) bool { return f.key == kind }) }
	switch {
	case wanted == "":
		return ""
	case wanted == signing:
		secrets := func(f field) bool { return !f.secret.Empty() && !f.weak }
		return cmp.Or(of("private"), of("p12"), first(secrets))
	case strings.HasPrefix(wanted, "_"):
		return first(func(f field) bool { return strings.HasSuffix(f.name, wanted) })
	}
	return of(wanted)
}

// signing stands for what requests are signed with.
const signing = "signing"

// printable takes out what could forge lines or colours where the text is shown (A103).
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, s)
}
