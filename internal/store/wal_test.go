package store

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A stopped database is one file: a copy of it has everything.
func TestClosedDatabaseIsOneFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "test.db")
	w := newWorld(t, "sqlite:"+path)
	p := w.stored(w.newPayment("o"))
	must(t, w.Close())
	for _, name := range []string{path + "-wal", path + "-shm"} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) { // SQLite removes them with the last connection
			t.Errorf("%s is still there (%v): somebody has the database open", name, err)
		}
	}
	copied := filepath.Join(t.TempDir(), "copy.db")
	from, err := os.Open(path)
	must(t, err)
	defer func() { _ = from.Close() }()
	to, err := os.Create(copied)
	must(t, err)
	_, err = io.Copy(to, from)
	must(t, err)
	must(t, to.Close())
	db := open(t, Options{DSN: "sqlite:" + copied, Mode: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if got, err := db.Payment(t.Context(), p.ID); err != nil || got.OrderNo != "o" {
		t.Errorf("%+v %v", got, err)
	}
}
