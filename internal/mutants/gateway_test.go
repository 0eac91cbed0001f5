package mutants

var ofGateway = []source{
	{"internal/gateway/gateway.go", []mutant{
		{"acknowledged although somebody was faster", "if !errors.Is(err, store.ErrStale) && !errors.Is(err, store.ErrUnknown) {", "if errors.Is(err, store.ErrStale) {\n\t\t\treturn outcome{payment: p, verdict: pay.Applied}, nil\n\t\t}\n\t\tif !errors.Is(err, store.ErrUnknown) {", "TestI05WhoWasSlowerDecidesAgain"},
	}},
	{"internal/gateway/create.go", []mutant{
		{"lost answer of a create taken for a no", "unknown := errors.Is(err, store.ErrUnknown)", "unknown := false", "TestA74LostAnswerOfTheDatabase"},
		{"next payment of an order older than the last", "now = least", "_ = least", "TestI10NewestOfAnOrderIsTheLastOneWritten"},
	}},
	{"internal/gateway/refund.go", []mutant{
		{"refunds followed without an end", "if r.Patient(g.Now()) {", "if true {", "TestRefundThatNoBalanceCovers|TestRefundIsFollowedWithoutMeans"},
		{"refund's reason without a length", "len(in.Reason) > MaxReason || ", "", "TestRefundRefusesBadInput"},
		{"console's refund found by the shop's number", "if r.RefundNo == refundNo && !r.External {", "if r.RefundNo == refundNo {", "TestRefundOfTheConsoleIsNotTheShops"},
	}},
	{"internal/gateway/shop.go", []mutant{
		{"page of events hides the next", "HasMore: len(found) > limit}", "HasMore: len(found) > limit+1}", "TestA95EventsOfAnotherShopAreNotListed"},
	}},
	{"internal/gateway/watch.go", []mutant{
		{"pages not told of the next event", "g.tail = p.Pos\n\t}", "g.tail = p.Pos + 1\n\t}", "TestTailSkipsNothing"},
	}},
	{"internal/view/view.go", []mutant{
		{"console's refund shown as the shop's", "Automatic: r.Automatic, External: r.External,", "Automatic: r.Automatic,", "TestWhoseRefundItIs"},
		{"automatic refund shown as the shop's", "Automatic: r.Automatic, External: r.External,", "External: r.External,", "TestWhoseRefundItIs"},
	}},
	{"internal/ops/timeline.go", []mutant{
		{"console's refund shown to operators as the shop's", "case r.External:\n", "case r.External && false:\n", "TestTimelineSaysWhatStandsOut"},
	}},
	{"internal/gateway/close.go", []mutant{
		{"paid there, closed here", "case channel.AlreadyPaid:\n\t\tp, _, ok, err := g.query(ctx, p, c)\n\t\treturn p, ok, err\n\tcase channel.AlreadyClosed:", "case channel.AlreadyPaid, channel.AlreadyClosed:", "TestA66CancelAfterThePayerPaid"},
		{"unknown taken for closed", "case channel.TooEarly:\n\t\treturn p, true, nil", "case channel.TooEarly, channel.Unknown:\n\t\tp, err = g.told(ctx, p, a, pay.Closed, pay.FromClose)\n\t\treturn p, true, err", "TestFailedCallsBackOff|TestA68ExpiryClosesThereFirst"},
		{"cancel of a paid payment succeeds", "if p.IsPaid() {", "if p.IsPaid() && false {", "TestA66CancelAfterThePayerPaid"},
		{"close decides without its claim", "o.Tries = c.Tries", "", "TestLazyLinkNobodyOpenedClosesAfterItsDeadline|TestLazyLinkNeverHandedOutClosesAtOnce"},
	}},
	{"internal/gateway/query.go", []mutant{
		{"query decides without its claim", "o.Tries = c.Tries", "", "TestLazyLinkNobodyOpenedClosesAfterItsDeadline|TestA68ExpiryClosesThereFirst|TestBackBeforeOpening"},
		{"rate answers not kept", "e.Kind != channel.Limited {", "e.Kind != \"\" {", "TestRateAnswerRestsTheAccount"},
		{"failures not counted", "a.Due.Failures = c.Failures + 1", "a.Due.Failures = 1", "TestFailedCallsBackOff"},
	}},
	{"internal/gateway/open.go", []mutant{
		{"call outlives its lease", "a.Due.Tries != c.Tries || g.Now().Add(channel.CallTimeout).After(a.Due.LeaseUntil) {", "a.Due.Tries != c.Tries {", "TestNoCallThatOutlivesItsLease"},
		{"unknown taken for refused", "case channel.Declined:\n\t\tp, err = g.told(ctx, p, *a, pay.Refused", "case channel.Declined, channel.Unknown:\n\t\tp, err = g.told(ctx, p, *a, pay.Refused", "TestA74TimeoutAfterEffectRepeatsTheSameNumber"},
		{"handed out without a record", "Shape: shape, HandOut: handOut})", "Shape: shape, HandOut: false})", "TestCreateIsIdempotent|TestA74TimeoutAfterEffectRepeatsTheSameNumber"},
	}},
	{"internal/gateway/exchange.go", []mutant{
		{"forgeries fill the memory", "|| e.Refused && s.strange >= maxStrange {", "{", "TestFloodOfDifferentForgeries"},
		{"a commit for every exchange", "if next := g.exchanges.next(); g.Now().Before(next) {", "if next := g.exchanges.next(); g.Now().Before(next) && false {", "TestExchangesAreStoredOncePerSecond"},
	}},
}
