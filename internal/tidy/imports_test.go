package tidy

import (
	"go/ast"
	"slices"
	"strings"
)

// mayImport says of each room which rooms it may import. Every package of ours stands here. "x/..." stands for x and
// all below it.
var mayImport = map[string][]string{
	"cmd/piaohao": {"internal/node", "internal/config", "internal/channel/all", "internal/ops", "internal/gateway", "internal/pay", "internal/doctor", "internal/bench", "client"},
	"client":      {},
	"spec/...":    {},
	"deploy":      {}, // its tests are outside of it

	"internal/pay":      {},
	"internal/bell":     {},
	"internal/secret":   {},
	"internal/keys":     {},
	"internal/strict":   {},
	"internal/logs":     {"internal/secret"},
	"internal/id":       {},
	"internal/freeport": {},
	"internal/view":     {"internal/pay"},

	"internal/channel":             {"internal/pay", "internal/secret"},
	"internal/channel/wechatv2":    channelDriver,
	"internal/channel/wechatv3":    channelDriver,
	"internal/channel/alipay":      channelDriver,
	"internal/channel/all":         {"internal/channel/..."},
	"internal/channel/channeltest": {"internal/channel/...", "internal/pay"}, // the values that it checks are pay's

	"internal/store":           {"internal/bell", "internal/pay", "internal/secret"},
	"internal/store/storetest": {"internal/freeport"},
	"internal/gateway":         {"internal/pay", "internal/channel", "internal/store", "internal/view", "internal/secret"},
	"internal/webhook":         {"internal/pay", "internal/store", "internal/view", "internal/secret"},

	"internal/ops": {"internal/gateway", "internal/web/httpx"},

	"internal/web/api":     web,
	"internal/web/cashier": web,
	"internal/web/notify":  web,
	"internal/web/httpx":   {"internal/gateway", "internal/pay", "internal/view", "internal/strict"},

	"internal/sim/simkit":    {},
	"internal/sim/wechatsim": {"internal/sim/simkit"},
	"internal/sim/alipaysim": {"internal/sim/simkit"},
	"internal/sim/all":       {"internal/sim/simkit", "internal/sim/wechatsim", "internal/sim/alipaysim"},

	"internal/demo":   {"client"},
	"internal/config": {"internal/channel", "internal/secret", "internal/keys"},
	"internal/doctor": {"internal/channel", "internal/channel/all", "internal/config", "internal/pay", "internal/secret"},
	"internal/node": {
		"client", "internal/bell", "internal/pay", "internal/secret", "internal/strict", "internal/id", "internal/view",
		"internal/channel/...", "internal/store", "internal/gateway", "internal/webhook", "internal/web/...",
		"internal/sim/...", "internal/demo", "internal/config", "internal/ops", "internal/logs", "internal/doctor",
	},
	"internal/bench": {
		"internal/pay", "internal/id", "internal/view", "internal/channel/all", "internal/store", "internal/web/httpx", "internal/sim/all",
		"internal/config", "internal/node", "internal/freeport",
	},

	"internal/storm":   {"client", "spec/...", "internal/..."},
	"internal/e2e/...": {"client", "spec/...", "internal/..."},
	"internal/tidy":    {},
	"internal/fuzzing": {},
	"internal/mutants": {},
}

// testsMayImport adds to mayImport what a room's own tests need, beside spec.
var testsMayImport = map[string][]string{
	"internal/channel/wechatv2": {"internal/channel/channeltest"},
	"internal/channel/wechatv3": {"internal/channel/channeltest"},
	"internal/channel/alipay":   {"internal/channel/channeltest"},
	"internal/config":           {"internal/channel/all"}, // documents and tests are about this build's drivers
	"internal/webhook":          {"client"},               // the shop's verifier judges the sender
	"internal/store":            {"internal/store/storetest"},
	"internal/gateway":          {"internal/store/storetest", "internal/e2e/totals"},
	"internal/node":             {"internal/store/storetest", "internal/e2e/totals", "internal/freeport"},
	"internal/doctor":           {"internal/freeport"},
	"internal/fuzzing":          {"internal/e2e/totals"},
	"internal/mutants":          {"internal/e2e/totals"},
	"internal/bench":            {"internal/store/storetest"},
}

// A driver knows no other driver, and a web room no other web room, no channel and no store.
var (
	channelDriver = []string{"internal/channel", "internal/pay", "internal/secret", "internal/strict", "internal/keys"}
	web           = []string{"internal/gateway", "internal/pay", "internal/view", "internal/web/httpx", "internal/strict"}
)

// wire are the parts of the standard library that the domain does without.
var wire = []string{"net/...", "database/...", "os/...", "encoding/..."}

func importTable(f file) []string {
	if !f.isGo() {
		return nil
	}
	allowed, known := roomTable(f.room())
	if !known {
		return []string{f.at(f.ast.Package, f.room()+" is missing in the import table")}
	}
	var found []string
	f.imports(func(spec *ast.ImportSpec, imported string, ours bool) {
		why := ""
		switch {
		case !ours:
			if !f.isTest() && foreign(f, imported) {
				why = f.room() + " may not import " + imported
			}
		case twoHands(f, imported):
			why = "a simulator and a channel share no code, tests included"
		case f.external() || imported == f.room():
		case f.isTest() && (matches([]string{"spec/..."}, imported) || matches(testsMayImport[f.room()], imported)):
		case !matches(allowed, imported):
			why = f.room() + " may not import " + imported
		}
		if why != "" {
			found = append(found, f.at(spec.Pos(), why))
		}
	})
	return found
}

// foreign is true where the domain or the public SDK reaches for more than it may.
func foreign(f file, imported string) bool {
	standard := !strings.Contains(imported, ".")
	return f.in("internal/pay") && (!standard || matches(wire, imported)) || f.in("client") && !standard
}

// twoHands is true where one hand's files import the other hand: sharing would mirror our own mistakes.
func twoHands(f file, imported string) bool {
	return f.in("internal/sim") && matches([]string{"internal/channel/..."}, imported) ||
		f.in("internal/channel") && matches([]string{"internal/sim/..."}, imported)
}

func roomTable(room string) (allowed []string, known bool) {
	for name, allowed := range mayImport {
		if matches([]string{name}, room) {
			return allowed, true
		}
	}
	return nil, false
}

func matches(patterns []string, room string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		top, below := strings.CutSuffix(p, "/...")
		return room == top || below && strings.HasPrefix(room, top+"/")
	})
}
