package mutants

var ofStore = []source{
	{"internal/store/apply.go", []mutant{
		{"event guard", "stmt{text: db.sql.event, args: args}", `stmt{text: db.sql.event + " ON CONFLICT (payment_id, seq) DO NOTHING", args: args}`, "TestA65ParallelChangesOfOnePayment"},
		{"overtaken create written as the older one", "AND created_at >= CAST($11 AS BIGINT)))`", "AND created_at < 0))`", "TestI10NewestOfAnOrderIsTheLastOneWritten"},
	}},
	{"internal/store/writer.go", []mutant{
		{"one failed write hurts its neighbours", "if again && len(group) > 1 {", "if again && len(group) > 1<<20 {", "TestA26TransactionNumberUsedTwiceInOneGroup|TestRefusedGuardDisturbsNoNeighbour"},
		{"what fits is lost with what does not", "\t\treturn sqliteFull(err)\n\t}\n\treturn false", "\t}\n\treturn false", "TestI18WhatFitsIsStored"},
		{"read after its neighbours wrote", "\tif !o.read {\n", "\tif true {\n", "TestLoadToWriteSeesNothingUncommitted|TestReadIsAnsweredBeforeItsNeighboursCommit"},
		{"half of a write stays after a failed read", "\t\t\tw.rollback() // SQLite may have done so by itself, and", "\t\t\t// SQLite may have done so by itself, and", "TestFailedReadHurtsNoNeighbour"},
		{"queued although its caller has left", "if err := ctx.Err(); err != nil {\n\t\treturn err\n\t}\n\to.done =", "o.done =", "TestCallerWhoLeftWritesNothing"},
		{"waits for a full queue although its caller has left", "return ErrClosed\n\tcase <-ctx.Done():\n\t\treturn ctx.Err()\n\t}", "return ErrClosed\n\t}", "TestCallerLeavesAFullQueue"},
	}},
	{"internal/store/sqlite.go", []mutant{
		{"two processes on one file", "syscall.LOCK_EX|syscall.LOCK_NB", "syscall.LOCK_SH|syscall.LOCK_NB", "TestOneProcessPerSQLiteFile"},
		{"database readable for everybody", "os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)", "os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)", "TestSQLiteFileIsItsOwnersAlone"},
		{"rows about what is not there", `"foreign_keys(1)"`, `"foreign_keys(0)"`, "TestRowsKeepWhatTheyAreAbout"},
	}},
	{"internal/store/postgres.go", []mutant{
		{"commits after a claim wait for no disk", "SET LOCAL synchronous_commit", "SET synchronous_commit", "TestTentativeIsDurableWithWhatFollows"},
		{"event's place given when it is written", `eventPos: "NULL"`, `eventPos: "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"`, "TestEventsOfASlowTransaction"},
	}},
	{"internal/store/tail.go", []mutant{
		{"one event, two deliveries", "n.for_shops = 1\n\t\tON CONFLICT (event_id, endpoint_id) DO NOTHING`", "n.for_shops = 1`", "TestFanOutTwiceAndByTwoNodes"},
		{"webhooks of internal events", "WHERE n.for_shops = 1", "WHERE n.for_shops >= 0", "TestFanOutTwiceAndByTwoNodes|TestDeliveryLife"},
		{"webhooks to the endpoints of every shop", "JOIN endpoints p ON p.shop = n.shop", "JOIN endpoints p ON p.shop <> ''", "TestA95EventsOfAnotherShop"},
		{"fan-out skips the next event", "FROM events WHERE pos > (` + cursorOf + `) ORDER", "FROM events WHERE pos > (` + cursorOf + `) + 1 ORDER", "TestFanOutTwiceAndByTwoNodes|TestA95EventsOfAnotherShop"},
		{"events of other shops are listed", "FROM events WHERE shop = $1 AND body", "FROM events WHERE $1 <> '' AND body", "TestA95EventsOfAnotherShop"},
		{"list of events skips the next one", "IS NOT NULL AND pos > $2 ORDER", "IS NOT NULL AND pos > $2 + 1 ORDER", "TestA95EventsOfAnotherShop"},
		{"tail skips the next event", "FROM events WHERE pos > $1 ORDER BY pos LIMIT $2`\n)", "FROM events WHERE pos > $1 + 1 ORDER BY pos LIMIT $2`\n)", "TestEventsInOrder|TestEventsOfASlowTransaction"},
		{"two nodes number events at once", "stmt{text: `SELECT pg_advisory_xact_lock($1)`, args: []any{int64(numberingLock)}},\n", "", "TestNumberingWaitsForTheOtherNode"},
		{"a payment's events ordered by clocks alone", "MAX(at) OVER (PARTITION BY payment_id ORDER BY seq) AS latest", "at AS latest", "TestEventsInOrder"},
		{"cursor moves back", `hold += " FOR UPDATE"`, `hold += ""`, "TestCursorOfANodeOfTheVersionBefore"},
	}},
	{"internal/store/claims.go", []mutant{
		{"claim wakes nobody for the next", "	if ok {\n		more.Ring()\n	}\n", "", "TestBells"},
		{"asked about, a second later", "	if err == nil {\n		due.Ring()\n	}\n", "", "TestBells"},
	}},
	{"internal/store/store.go", []mutant{
		{"due now, done a second later", "!row.Wake.After(now)", "row.Wake.Before(now)", "TestBells"},
		{"refund made now, sent a second later", "!row.Refund.Due.At.After(now)", "row.Refund.Due.At.Before(now)", "TestBells"},
	}},
	{"internal/store/deliveries.go", []mutant{
		{"dead endpoint holds every slot", "CASE WHEN p.failures > 0 THEN 1 ELSE 8 END", "CASE WHEN p.failures > 0 THEN 8 ELSE 8 END", "TestDeliveriesInFlight"},
		{"late delivery overwrites", "ELSE failures + 1 END\n\t\tWHERE event_id = $2 AND endpoint_id = $1 AND tries = $3`", "ELSE failures + 1 END\n\t\tWHERE event_id = $2 AND endpoint_id = $1 AND tries >= $3`", "TestDeliveryLife"},
	}},
	{"internal/store/keys.go", []mutant{
		{"revoked key works", "WHERE k.hash = $1 AND k.revoked_at IS NULL`", "WHERE k.hash = $1`", "TestKeysAreNamedAndRevoked"},
		{"key revoked twice", "WHERE id = $1 AND revoked_at IS NULL`", "WHERE id = $1`", "TestKeysAreNamedAndRevoked"},
	}},
	{"internal/store/errors.go", []mutant{
		{"serialization failure not retried", "pg.Code == pgSerialization ||", "false ||", "TestRetriesAreBounded|TestLostAnswerOfACommit"},
		{"server that is shut down taken for a no", "return pg.Code == pgShutdown ||", "return", "TestLostAnswerOfACommit|TestRetriesAreBounded"},
		{"server that goes down with its log taken for a no", " || pg.SeverityUnlocalized == pgPanic", "", "TestLostAnswerOfACommit"},
		{"pooler that lost its server taken for a no", " || strings.HasPrefix(pg.Code, pgConnection)", "", "TestLostAnswerOfACommit"},
		{"broken connection taken for a no", "errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||", "network != nil || errors.Is(err, io.ErrNoProgress) ||", "TestLostAnswerOfACommit"},
	}},
}
