package config

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"piaohao/internal/channel"
	"piaohao/internal/secret"
)

// platform is what the settings say of one method: its drivers, and what they share.
type platform struct {
	method, prefix string
	candidates     []*candidate
	sandbox        *bool // nil = unset
	undecided      bool  // the sandbox variable cannot be read
	placeholders   bool  // all that is set is a sample: in test mode as good as nothing
}

// candidate is one driver with its settings read.
type candidate struct {
	driver   channel.Driver
	settings channel.Settings
	fields   []field
	values   []reflect.Value // of the fields, within settings
}

// field is one setting of a driver.
type field struct {
	name   string
	key    string // what key text it holds, "" = none
	secret bool
	weak   bool
	shared bool // another driver of the method has it too
	set    bool
	value  string
}

// Fields that are set, and of them those that say that this driver is meant.
func (c *candidate) set() []field {
	return slices.DeleteFunc(slices.Clone(c.fields), func(f field) bool { return !f.set })
}

func (c *candidate) meant() bool {
	return slices.ContainsFunc(c.fields, func(f field) bool { return f.set && !f.weak && !f.shared })
}

func (p *platform) any() bool {
	return slices.ContainsFunc(p.candidates, func(c *candidate) bool { return len(c.set()) > 0 })
}

func (p *platform) isSandbox() bool { return p.sandbox != nil && *p.sandbox }

// fileSuffix makes of a variable the one that names a file with its content.
const fileSuffix = "_FILE"

// Variables that every method has, after its prefix.
const (
	notifySuffix   = "_NOTIFY_URL"
	returnSuffix   = "_RETURN_URL"
	sandboxSuffix  = "_SANDBOX"
	productsSuffix = "_PRODUCTS"
)

// readPlatforms reads the settings of every driver, in the drivers' order.
func (l *loader) readPlatforms() []*platform {
	var out []*platform
	at := map[string]*platform{}
	for _, d := range l.drivers {
		p := at[d.Info.Method]
		if p == nil {
			p = &platform{method: d.Info.Method, prefix: d.Info.Prefix}
			at[d.Info.Method] = p
			out = append(out, p)
		}
		c := &candidate{driver: d, settings: d.Settings()}
		c.fields, c.values = declared(c.settings)
		p.candidates = append(p.candidates, c)
	}
	l.unknown(out)
	for _, p := range out {
		owners := map[string]int{}
		for _, c := range p.candidates {
			for _, f := range c.fields {
				if !f.weak { // what only refines one driver still says that another one is meant
					owners[f.name]++
				}
			}
		}
		for _, c := range p.candidates {
			for i := range c.fields {
				c.fields[i].shared = owners[c.fields[i].name] > 1
			}
			l.fill(c)
		}
		l.readSandbox(p)
	}
	return out
}

// Fields of a driver's settings as its tags declare them.
func declared(s channel.Settings) (fields []field, values []reflect.Value) {
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		t := v.Type().Field(i)
		name := t.Tag.Get("env")
		if name == "" {
			continue
		}
		fields = append(fields, field{
			name: name, key: t.Tag.Get("key"), weak: t.Tag.Get("weak") == "true", secret: t.Type == reflect.TypeFor[secret.Text](),
		})
		values = append(values, v.Field(i))
	}
	return fields, values
}

// fill reads c's settings into its struct.
func (l *loader) fill(c *candidate) {
	for i := range c.fields {
		f := &c.fields[i]
		f.value = l.setting(*f)
		f.set = f.value != "" || l.broken(*f)
		if f.secret {
			c.values[i].Set(reflect.ValueOf(secret.New(f.value)))
		} else {
			c.values[i].SetString(f.value)
		}
	}
}

// broken reports whether a setting has a problem already.
func (l *loader) broken(f field) bool { return l.faulty[f.name] || l.faulty[f.name+fileSuffix] }

// byFile reports whether a setting's content may be given by a file.
func (f field) byFile() bool { return f.key != "" || f.secret }

// setting reads the value of a driver's setting; drivers that share it read it once.
func (l *loader) setting(f field) string {
	if v, ok := l.values[f.name]; ok {
		return v
	}
	v := unquote(l.get(f.name))
	if f.byFile() {
		variable := f.name + fileSuffix
		switch path := unquote(l.get(variable)); {
		case path == "":
		case v != "":
			l.fail(variable, fileBoth)
		default:
			v = l.fromFile(variable, path)
		}
	}
	if strings.HasPrefix(v, armourBegin) {
		v = unescapePEM(v)
	}
	l.values[f.name] = v
	return v
}

// unquote takes one pair of quotes off: Docker's --env-file hands them on as part of the value.
func unquote(v string) string {
	v = strings.TrimSpace(v)
	if len(v) >= 2 && (v[0] == '"' || v[0] == '\'') && v[len(v)-1] == v[0] {
		return v[1 : len(v)-1]
	}
	return v
}

// textOf is the content of a key's file as settings hold it: text as it is, DER and PKCS#12 as base64.
func textOf(content []byte) string {
	text := strings.TrimSpace(strings.TrimPrefix(string(content), "\ufeff"))
	if !utf8.ValidString(text) || strings.Contains(text, "\x00") {
		return base64.StdEncoding.EncodeToString(content)
	}
	return text
}

func (l *loader) readSandbox(p *platform) {
	name := p.prefix + sandboxSuffix
	v := strings.ToLower(unquote(l.get(name)))
	if v == "" {
		p.undecided = l.faulty[name]
		return
	}
	yes := slices.Contains([]string{"true", "1", "yes", "on"}, v)
	if !yes && !slices.Contains([]string{"false", "0", "no", "off"}, v) {
		l.fail(name, fault{"invalid", "is neither true nor false", "write true to test, false for real money"})
		p.undecided = true
		return
	}
	p.sandbox = &yes
}

// names are all variables of a platform.
func (p *platform) names() []string {
	names := []string{p.prefix + notifySuffix, p.prefix + returnSuffix, p.prefix + sandboxSuffix, p.prefix + productsSuffix}
	for _, c := range p.candidates {
		for _, f := range c.fields {
			if names = append(names, f.name); f.byFile() {
				names = append(names, f.name+fileSuffix)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// unknown reports variables that begin like a platform's and are none: a misspelt key must not count as unset.
func (l *loader) unknown(platforms []*platform) {
	set := map[string]bool{}
	for name, v := range l.src.Env {
		set[name] = v != ""
	}
	for name, e := range l.file {
		set[name] = set[name] || e.text != ""
	}
	known := map[string][]string{}
	for _, p := range platforms {
		known[p.prefix] = append(known[p.prefix], p.names()...)
	}
	var strange []string
	for name := range set {
		prefix, _, _ := strings.Cut(strings.ToUpper(name[:min(len(name), maxName)]), "_")
		if names, ours := known[prefix]; ours && set[name] && !slices.Contains(names, name) {
			strange = append(strange, name)
		}
	}
	slices.Sort(strange)
	for _, name := range strange {
		short := name[:min(len(name), maxName)]
		prefix, _, _ := strings.Cut(strings.ToUpper(short), "_")
		meant, edits := nearest(short, known[prefix])
		p := l.problem(name, fault{"unknown", "no such setting", "did you mean " + meant + "? Else delete it"})
		if !shownName.MatchString(name) {
			p.Setting = ""
		}
		if edits <= typingErrors {
			l.faulty[meant] = true // it is misspelt, not missing
		}
		l.problems = append(l.problems, p)
	}
}

// maxName is how much of a name is compared, in bytes.
const maxName = 64

// typingErrors is how many edits make one name into another by mistake.
const typingErrors = 4

// nearest is the known name with the fewest edits to name, the order of its words being no matter.
func nearest(name string, known []string) (best string, edits int) {
	name = strings.ToUpper(name)
	for _, k := range known {
		if d := min(distance(name, k), distance(words(name), words(k))); best == "" || d < edits {
			best, edits = k, d
		}
	}
	return best, edits
}

// words is a name with its words in order.
func words(name string) string {
	list := strings.Split(name, "_")
	slices.Sort(list)
	return strings.Join(list, "_")
}

// distance is Levenshtein's, over bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
