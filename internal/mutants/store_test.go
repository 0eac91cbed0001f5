package mutants

var ofStore = []source{
	{"internal/store/apply.go", []mutant{
		{"event guard", "stmt{text: db.sql.event, args: args}", `stmt{text: db.sql.event + " ON CONFLICT (payment_id, seq) DO NOTHING", args: args}`, "TestA65ParallelChangesOfOnePayment"},
		{"overtaken create written as the older one", "AND created_at >= CAST($11 AS BIGINT)))`", "AND created_at < 0))`", "TestI10NewestOfAnOrderIsTheLastOneWritten"},
	}},
	{"internal/store/writer.go", []mutant{
		{"one failed write hurts its neighbours", "if again && len(group) > 1 {", "if again && len(group) > 1<<20 {", "TestA26TransactionNumberUsedTwiceInOneGroup|TestRefusedGuardDisturbsNoNeighbour"},
	}},
	{"internal/store/sqlite.go", []mutant{
		{"two processes on one file", "syscall.LOCK_EX|syscall.LOCK_NB", "syscall.LOCK_SH|syscall.LOCK_NB", "TestOneProcessPerSQLiteFile"},
		{"database readable for everybody", "os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)", "os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)", "TestOneProcessPerSQLiteFile|TestReadSchemaMakesNoFile"},
	}},
	{"internal/store/tail.go", []mutant{
		{"one event, two deliveries", "e.for_shops = 1\n\t\tON CONFLICT (event_id, endpoint_id) DO NOTHING`", "e.for_shops = 1`", "TestFanOutTwiceAndByTwoNodes"},
		{"webhooks of internal events", "AND e.pos <= $2 AND e.for_shops = 1", "AND e.pos <= $2", "TestFanOutTwiceAndByTwoNodes|TestDeliveryLife"},
		{"cursor moves back", "WHERE name = 'deliveries' AND cursor = $1`", "WHERE name = 'deliveries' AND cursor >= 0 * $1`", "TestFanOutTwiceAndByTwoNodes"},
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
	}},
}
