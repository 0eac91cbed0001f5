package tidy

import "strings"

// examples are files that break a rule, and near misses that do not (want "").
var examples = []struct {
	rule, name string
	path, text string
	want       string // part of the findings
}{
	{"imports follow the table", "unknown room", "internal/util/a.go", "package util", "internal/util is missing in the import table"},
	{"imports follow the table", "store knows no view", "internal/store/a.go", "package store\n\nimport _ \"piaohao/internal/view\"", "internal/store/a.go:3: internal/store may not import internal/view"},
	{"imports follow the table", "store knows pay", "internal/store/a.go", "package store\n\nimport _ \"piaohao/internal/pay\"", ""},
	{"imports follow the table", "driver knows no driver", "internal/channel/alipay/a.go", "package alipay\n\nimport _ \"piaohao/internal/channel/wechatv3\"", "may not import internal/channel/wechatv3"},
	{"imports follow the table", "the list knows drivers", "internal/channel/all/a.go", "package all\n\nimport _ \"piaohao/internal/channel/wechatv3\"", ""},
	{"imports follow the table", "web knows no store", "internal/web/api/a.go", "package api\n\nimport _ \"piaohao/internal/store\"", "may not import internal/store"},
	{"imports follow the table", "id is node's", "internal/gateway/a.go", "package gateway\n\nimport _ \"piaohao/internal/id\"", "may not import internal/id"},
	{"imports follow the table", "node takes id", "internal/node/a.go", "package node\n\nimport _ \"piaohao/internal/id\"", ""},
	{"imports follow the table", "spec in code", "internal/node/a.go", "package node\n\nimport _ \"piaohao/spec\"", "may not import spec"},
	{"imports follow the table", "spec in tests", "internal/pay/a_test.go", "package pay\n\nimport _ \"piaohao/spec\"", ""},
	{"imports follow the table", "inner tests follow the table", "internal/pay/a_test.go", "package pay\n\nimport _ \"piaohao/internal/store\"", "may not import internal/store"},
	{"imports follow the table", "a driver's test and the suite", "internal/channel/alipay/a_test.go", "package alipay\n\nimport _ \"piaohao/internal/channel/channeltest\"", ""},
	{"imports follow the table", "a driver and the suite", "internal/channel/alipay/a.go", "package alipay\n\nimport _ \"piaohao/internal/channel/channeltest\"", "may not import internal/channel/channeltest"},
	{"imports follow the table", "outer tests need not", "internal/web/api/a_test.go", "package api_test\n\nimport _ \"piaohao/internal/store\"", ""},
	{"imports follow the table", "simulator's test and channel", "internal/sim/all/a_test.go", "package all_test\n\nimport _ \"piaohao/internal/channel/alipay\"", "share no code"},
	{"imports follow the table", "channel's test and simulator", "internal/channel/alipay/a_test.go", "package alipay_test\n\nimport _ \"piaohao/internal/sim/alipaysim\"", "share no code"},
	{"imports follow the table", "simulator and pay", "internal/sim/simkit/a.go", "package simkit\n\nimport _ \"piaohao/internal/pay\"", "may not import internal/pay"},
	{"imports follow the table", "the domain and the wire", "internal/pay/a.go", "package pay\n\nimport _ \"encoding/json\"", "may not import encoding/json"},
	{"imports follow the table", "the domain and other people's code", "internal/pay/a.go", "package pay\n\nimport _ \"golang.org/x/text\"", "may not import golang.org/x/text"},
	{"imports follow the table", "the domain and time", "internal/pay/a.go", "package pay\n\nimport _ \"time\"", ""},
	{"imports follow the table", "the SDK and other people's code", "client/a.go", "package client\n\nimport _ \"golang.org/x/text\"", "may not import golang.org/x/text"},

	{"time and goroutines belong to node", "go statement", "internal/pay/a.go", "package pay\n\nfunc f() { go f() }", "internal/pay/a.go:3: go statement"},
	{"time and goroutines belong to node", "WaitGroup.Go", "internal/store/a.go", "package store\n\nfunc f() { wg.Go(func() {}) }", "goroutine"},
	{"time and goroutines belong to node", "a method called Go", "internal/gateway/a.go", "package gateway\n\nfunc f() { g.Go(ctx, token) }", ""},
	{"time and goroutines belong to node", "the writer", "internal/store/writer.go", "package store\n\nfunc f() { go f() }", ""},
	{"time and goroutines belong to node", "the writer's clock", "internal/store/writer.go", "package store\n\nimport \"time\"\n\nvar _ = time.Now()", "time.Now"},
	{"time and goroutines belong to node", "clock as a value", "internal/sim/simkit/a.go", "package simkit\n\nimport \"time\"\n\nvar now = time.Now", "time.Now"},
	{"time and goroutines belong to node", "clock under another name", "internal/channel/a.go", "package channel\n\nimport clock \"time\"\n\nvar _ = clock.Since(t)", "time.Since"},
	{"time and goroutines belong to node", "context.AfterFunc", "internal/webhook/a.go", "package webhook\n\nimport \"context\"\n\nvar _ = context.AfterFunc(c, f)", "context.AfterFunc"},
	{"time and goroutines belong to node", "deadline of a request", "internal/gateway/a.go", "package gateway\n\nimport (\n\t\"context\"\n\t\"time\"\n)\n\nvar _, _ = context.WithTimeout(c, 8*time.Second)", ""},
	{"time and goroutines belong to node", "a field called Now", "internal/gateway/a.go", "package gateway\n\nimport \"time\"\n\nvar _ time.Time = o.Now()", ""},
	{"time and goroutines belong to node", "the drivers' suite is test code", "internal/channel/channeltest/a.go", "package channeltest\n\nfunc f() { go f() }", ""},
	{"time and goroutines belong to node", "node may", "internal/node/a.go", "package node\n\nfunc f() { go f() }", ""},

	{"platform names stay in channels", "a text", "internal/web/cashier/a.go", "package cashier\n\nvar _ = \"MicroMessenger\"\n\nvar _ = \"/payment/WeChat/notify\"", "internal/web/cashier/a.go:5: \"/payment/WeChat/notify\""},
	{"platform names stay in channels", "a name", "internal/gateway/a.go", "package gateway\n\nfunc openAlipay() {}", "openAlipay"},
	{"platform names stay in channels", "comments and imports", "internal/pay/a.go", "// Package pay outlives WeChat.\npackage pay\n\nimport _ \"piaohao/internal/channel/alipay\"", ""},
	{"platform names stay in channels", "a channel", "internal/channel/alipay/a.go", "package alipay", ""},

	{"only pay knows its states", "gateway compares", "internal/gateway/a.go", "package gateway\n\nimport \"piaohao/internal/pay\"\n\nvar _ = p.Status == pay.PaymentPaid", "internal/gateway/a.go:5: pay.PaymentPaid"},
	{"only pay knows its states", "an attempt's", "internal/store/a.go", "package store\n\nimport p \"piaohao/internal/pay\"\n\nvar _ = p.AttemptOpening", "pay.AttemptOpening"},
	{"only pay knows its states", "a refund's", "internal/view/a.go", "package view\n\nimport \"piaohao/internal/pay\"\n\nvar _ = pay.RefundAbnormal", "pay.RefundAbnormal"},
	{"only pay knows its states", "a channel translates", "internal/channel/alipay/a.go", "package alipay\n\nimport \"piaohao/internal/pay\"\n\nvar _ = map[string]pay.RefundStatus{\"S\": pay.RefundSucceeded}", ""},
	{"only pay knows its states", "a channel compares", "internal/channel/alipay/a.go", "package alipay\n\nimport \"piaohao/internal/pay\"\n\nvar _ = s == pay.RefundSucceeded", "internal/channel/alipay/a.go:5: pay.RefundSucceeded"},
	{"only pay knows its states", "a channel compares, the other way round", "internal/channel/alipay/a.go", "package alipay\n\nimport \"piaohao/internal/pay\"\n\nvar _ = pay.RefundSucceeded != s", "internal/channel/alipay/a.go:5: pay.RefundSucceeded"},
	{"only pay knows its states", "a channel switches", "internal/channel/alipay/a.go", "package alipay\n\nimport \"piaohao/internal/pay\"\n\nfunc f() {\n\tswitch s {\n\tcase pay.RefundFailed:\n\t}\n}", "internal/channel/alipay/a.go:7: pay.RefundFailed"},
	{"only pay knows its states", "the type and the events", "internal/store/a.go", "package store\n\nimport \"piaohao/internal/pay\"\n\nvar _ = pay.PaymentStatus(text)", ""},

	{"files and functions are short", "600 lines", "client/a.go", "package client\n" + strings.Repeat("\n", 599), ""},
	{"files and functions are short", "601 lines", "client/a.go", "package client\n" + strings.Repeat("\n", 600), "client/a.go: 601 lines"},
	{"files and functions are short", "70 lines", "client/a.go", "package client\n\nfunc f() {\n" + strings.Repeat("\n", 68) + "}", ""},
	{"files and functions are short", "71 lines", "client/a.go", "package client\n\nfunc f() {\n" + strings.Repeat("\n", 69) + "}", "client/a.go:3: f has 71 lines"},

	{"nothing is left undone", "a promise", "client/a.go", "package client\n\n// " + "TO" + "DO: later", "client/a.go:3: TO" + "DO"},
	{"nothing is left undone", "a longer word", "client/a.go", "package client\n\nvar HA" + "CKER int", ""},
	{"nothing is left undone", "a skipped test", "client/a_test.go", "package client\n\nfunc f() { t.Skip" + "f(reason) }", "client/a_test.go:3: Skip" + "f"},
	{"nothing is left undone", "a sleeping test", "client/a_test.go", "package client\n\nimport \"time\"\n\nfunc f() { time.Sl" + "eep(1) }", "time.Sleep"},

	{"no floating point near money", "a type", "internal/pay/a.go", "package pay\n\nvar yuan float64", "internal/pay/a.go:3: float64"},
	{"no floating point near money", "a parser", "internal/channel/alipay/a.go", "package alipay\n\nvar _ = strconv.ParseFloat", "ParseFloat"},
	{"no floating point near money", "a number", "internal/gateway/a.go", "package gateway\n\nvar _ = 0.01", "0.01"},
	{"no floating point near money", "whole numbers", "internal/store/a.go", "package store\n\nvar _ int64 = 1", ""},

	{"no large or binary files", "800 KiB", "docs/a.txt", strings.Repeat("a", 800<<10), ""},
	{"no large or binary files", "one byte more", "docs/a.txt", strings.Repeat("a", 800<<10+1), "819201 bytes"},
	{"no large or binary files", "a program", "piaohao", "\x7fELF\x00", "is binary"},
	{"no large or binary files", "a picture", "docs/look/a.png", "\x89PNG\x00", ""},
	{"no large or binary files", "a picture elsewhere", "internal/web/a.png", "\x89PNG\x00", "is binary"},

	{"no trace of the workplace", "a path", "docs/a.md", "see /wo" + "rk/shared", "docs/a.md: mentions"},
	{"no trace of the workplace", "a word of ours", "docs/a.md", "it does not work / run", ""},

	{"the lock file names no host", "a host", "x/package-lock.json", `{"resolved": "https://npm.example/a.tgz"}`, `has "resolved"`},
	{"the lock file names no host", "hashes only", "x/package-lock.json", `{"integrity": "sha512-…"}`, ""},

	{"every command of a README is tested", "no tag", "README.md", "Start it:\n\n```sh\n./piaohao\n```\n", "README.md:3: no <!-- test: name -->"},
	{"every command of a README is tested", "a tag", "README.md", "<!-- test: quick-start -->\n```bash\n./piaohao\n```\n", ""},
	{"every command of a README is tested", "what is no command", "README.zh-CN.md", "```json\n{}\n```\n", ""},
	{"every command of a README is tested", "other documents", "docs/a.md", "```sh\nls\n```\n", ""},
}
