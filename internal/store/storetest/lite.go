package storetest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
)

var lite struct {
	sync.Mutex
	file []byte
}

// Lite returns the text of a SQLite file as migrate left it, which runs once for this test binary: with the race detector
// the migrations cost more than most tests.
func Lite(t testing.TB, migrate func(dsn string) error) []byte {
	t.Helper()
	lite.Lock()
	defer lite.Unlock()
	if lite.file != nil {
		return lite.file
	}
	path := filepath.Join(t.TempDir(), "migrated.db")
	err := migrate("sqlite:" + path)
	if err == nil {
		lite.file, err = os.ReadFile(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return lite.file
}

// NewLite writes Lite into a new folder and returns its address.
func NewLite(t testing.TB, migrate func(dsn string) error) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	if err := os.WriteFile(path, Lite(t, migrate), 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}
