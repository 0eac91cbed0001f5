package store

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"piaohao/internal/store/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	storetest.Stop()
	os.Exit(code)
}

// template is the name of a database with all tables, which new ones are copied from.
const template = "tables"

var makeTemplate = sync.OnceValue(func() error {
	dsn, err := storetest.Named(template)
	if err != nil {
		return err
	}
	return migrated(dsn)
})

// migrated makes all tables.
func migrated(dsn string) error {
	db, err := Open(context.Background(), Options{
		DSN: dsn, Mode: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler), AllowUnsafe: true,
	})
	if err != nil {
		return err
	}
	return db.Close()
}

// newPostgresDatabase makes an empty database with all tables and returns its address.
func newPostgresDatabase(t testing.TB) string {
	t.Helper()
	must(t, makeTemplate())
	return storetest.CopyOf(t, template)
}
