package mutants

var ofWechat = []source{
	{"internal/channel/wechatv2/sign.go", []mutant{
		{"v2 signature not compared", "[]byte(got)) != 1 {", "[]byte(got)) > 1 {", "TestForgedNotices"},
	}},
	{"internal/channel/wechatv2/notice.go", []mutant{
		{"v2 notice not verified", "code = c.holds(variant, fields)\n\t}\n\tswitch {", "_ = c.holds(variant, fields)\n\t}\n\tswitch {", "TestForgedNotices"},
		{"v2 notice with a query", `if in.RawQuery != "" || len`, "if len", "TestNoticesSurroundings"},
		{"v2 notice compressed", `|| len(in.Header["Content-Encoding"]) > 0 {`, "{", "TestNoticesSurroundings"},
		{"v2 failed communication is a payment", `if fields.Get("return_code") != "SUCCESS" || fields`, `if fields`, "TestA15SignedMessagesOfOtherKinds"},
		{"v2 failed payment is a payment", `fields.Get("result_code") != "SUCCESS" ||`, "", "TestA15SignedMessagesOfOtherKinds"},
		{"v2 answer to a query is a notice", "|| fields.Get(\"out_trade_no\") == \"\" ||\n\t\tfields.Get(\"trade_state\") != \"\" {", "|| fields.Get(\"out_trade_no\") == \"\" {", "TestA15SignedMessagesOfOtherKinds"},
		{"v2 answer about a refund is a notice", `if strings.HasPrefix(fields[i].Name, "refund") ||`, `if`, "TestA15SignedMessagesOfOtherKinds"},
		{"v2 refund notice decides", "obs.Hint = true\n", "", "TestA13RefundNoticeIsAHint"},
		{"v2 refund notice of another account", "if !c.ours(fields) {\n\t\treturn pay.Observation{}, fail(op, channel.Foreign", "if false {\n\t\treturn pay.Observation{}, fail(op, channel.Foreign", "TestA13RefundNoticeIsAHint|TestForeignNotices"},
		{"v2 padding not looked at", "!bytes.Equal(text[len(text)-pad:], bytes.Repeat(text[len(text)-1:], pad)) {", "false {", "TestA13RefundNoticeIsAHint|TestPublishedReqInfo"},
		{"v2 refused with success", "Body: ackRefused}", "Body: ackAccepted}", "internal/channel/channeltest TestWechatV2"},
	}},
	{"internal/channel/wechatv2/ask.go", []mutant{
		{"v2 unsigned answer believed", "code = c.holds(variant, fields)\n\t}", "_ = c.holds(variant, fields)\n\t}", "TestA12UnprovenAnswersAreUnknown"},
		{"v2 answer without a nonce", `if code == "" && fields.Get("nonce_str") == "" {`, "if false {", "TestA12UnprovenAnswersAreUnknown"},
		{"v2 failed communication is an answer", `if fields.Get("return_code") != "SUCCESS" {`, `if fields.Get("return_code") == "-" {`, "TestA12UnprovenAnswersAreUnknown|TestSignedAnswers"},
		{"v2 error of another account", "case !c.ours(fields):\n\t\treturn nil, \"\", strange(op)", "case !c.ours(fields) && false:\n\t\treturn nil, \"\", strange(op)", "TestSignedAnswers"},
		{"v2 way of signing of today", "variant := cmp.Or(a.Variant, c.variant)", "variant := cmp.Or(c.variant, a.Variant)", "TestA04AttemptsKeepTheirVariant"},
		{"v2 request of another moment differs", `"\n" + q.number))`, `"\n" + q.number + c.env.Now().String()))`, "TestOpenRepeatsIdenticalBytes"},
		{"v2 request of another process differs", `"\n" + q.number))`, `"\n" + q.number + fmt.Sprintf("%p", c)))`, "TestOpenRepeatsIdenticalBytes"},
		{"v2 one nonce for all numbers", `"\n" + q.number))`, `"\n"))`, "TestOpenRepeatsIdenticalBytes"},
		{"v2 nonce that anybody can know", "mac := hmac.New(sha256.New, []byte(c.key.Reveal()))", "mac := hmac.New(sha256.New, []byte(name))", "TestOpenRepeatsIdenticalBytes"},
	}},
	{"internal/channel/wechatv2/orders.go", []mutant{
		{"v2 order begins when it is sent", "a.CreatedAt.In(beijing)", "c.env.Now().In(beijing)", "TestOpenRepeatsIdenticalBytes"},
		{"v2 identity from our settings", `AppID: withSub(fields, "appid", "sub_appid"),`, "AppID: c.env.Account.AppID,", "TestQueryTakesFactsFromTheMessage"},
		{"v2 partner's money is ours", `if partner := fields.Get(sub); partner != "" {`, `if partner := fields.Get(sub); partner == "-" {`, "TestQueryTakesFactsFromTheMessage|TestNoticesThatHold"},
		{"v2 code for another account", "case !c.ours(fields):\n\t\treturn pay.Shape{}, strange(op)", "case false:\n\t\treturn pay.Shape{}, strange(op)", "TestSignedAnswers"},
	}},
	{"internal/channel/wechatv2/text.go", []mutant{
		{"v2 amount with a leading zero", "text[0] == '0' ||", "", "TestForgedNotices|TestSignedAnswers|TestNoticesThatHold"},
		{"v2 amount without a most", "|| pay.Fen(n) > pay.MaxAmount {", "{", "TestForgedNotices|TestSignedAnswers|TestNoticesThatHold"},
		{"v2 text that splits is sent", "case r == '&':\n\t\t\treturn '＆'", "case r == '&':\n\t\t\treturn r", "TestTextsOfRequests|TestA07WireText"},
	}},
	{"internal/channel/wechatv2/refunds.go", []mutant{
		{"v2 refund of another account", "case !c.ours(answer):", "case !c.ours(answer) && false:", "TestRefundAnswers"},
		{"v2 answer about another refund", "case answer.Get(\"out_refund_no\"+suffix) != r.OutRefundNo:", "case answer.Get(\"out_refund_no\"+suffix) == \"-\":", "TestRefundAnswers"},
		{"v2 refund of another transaction", "case answer.Get(\"transaction_id\") != a.TransactionID:", "case answer.Get(\"transaction_id\") == \"-\":", "TestRefundAnswers"},
		{"v2 refund of another order", "case answer.Get(\"out_trade_no\") != a.OutTradeNo:", "case answer.Get(\"out_trade_no\") == \"-\":", "TestRefundAnswers"},
		{"v2 refund of another amount", "case !ok || refunded != r.Amount:", "case !ok || refunded < 0:", "TestRefundAnswers"},
		{"v2 refund of another total", "case !okTotal || total != a.Amount:", "case !okTotal || total < 0:", "TestRefundAnswers"},
		{"v2 refund in another currency", "case cmp.Or(answer.Get(\"fee_type\"), pay.CNY) != a.Currency:", "case cmp.Or(answer.Get(\"fee_type\"), pay.CNY) == \"-\":", "TestRefundAnswers"},
		{"v2 refund with an ended certificate", "&& current(c.cert, c.env.Now())", "", "TestRefundNeedsTheCertificate"},
	}},
	{"internal/channel/wechatv2/driver.go", []mutant{
		{"v2 live account at the simulator", `case env.Account.Livemode && (env.Sim != "" || env.SimSecure != ""):`, `case env.Account.Livemode && env.Sim == "-":`, "TestA18NewKeepsTestAndLiveApart"},
	}},
}
