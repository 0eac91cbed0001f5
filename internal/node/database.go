package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"piaohao/internal/config"
	"piaohao/internal/store"
)

// ErrPending: the check of the tables found migrations that are still to be applied.
var ErrPending = errors.New("the tables are not up to date: the next start of the server, or piaohao migrate, brings them there")

// Migrate tells the version of the database's tables and brings them up to date; with check it changes nothing, and
// ErrPending says that there is something to do.
func Migrate(ctx context.Context, c config.Config, check bool, out io.Writer) error {
	o := storeOptions(c, c.Database.Reveal(), io.Discard)
	act := store.Migrate
	if check {
		act = store.ReadSchema
	}
	s, err := act(ctx, o)
	if errors.Is(err, store.ErrInUse) {
		return errors.Join(err, errors.New("a server brings the tables up to date when it starts: while it runs they are"))
	}
	if s.Wants > 0 {
		fmt.Fprintf(out, "Database   %s\nTables     version %d\nProgram    version %d\n", s.Engine, s.Has, s.Wants)
		for _, name := range s.Pending {
			fmt.Fprintf(out, "Pending    %s\n", name)
		}
	}
	switch {
	case err != nil:
		return err
	case check && len(s.Pending) > 0:
		return ErrPending
	case len(s.Pending) > 0:
		fmt.Fprintf(out, "Done       version %d; rows and sums are what they were\n", s.Wants)
	case s.Has > s.Wants:
		fmt.Fprintln(out, "Done       a newer program was here; this one works with it")
	default:
		fmt.Fprintln(out, "Done       nothing to do")
	}
	return nil
}

// CopyDatabase copies the SQLite database of the data folder, or the file from, to the PostgreSQL that DATABASE_URL names.
// told hears of its progress.
func CopyDatabase(ctx context.Context, c config.Config, from string, told func(table string, done, total int64), out io.Writer) error {
	target := c.Database.Reveal()
	if strings.HasPrefix(target, "sqlite:") {
		return errors.New("set DATABASE_URL to the PostgreSQL database to copy to (postgres://user:password@host:5432/database)")
	}
	if from == "" {
		from = filepath.Join(c.DataDir, (&Node{config: c}).mode()+".db")
	}
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no database %s: set DATA_DIR to the folder that the server used, or name the file with --from", from)
	}
	done, err := store.Copy(ctx, storeOptions(c, "sqlite:"+from, os.Stderr), storeOptions(c, target, os.Stderr), told)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%-12s %12s %18s\n", "table", "rows", "sum in fen")
	for _, t := range done {
		money := ""
		if t.Money > 0 {
			money = fmt.Sprint(t.Money)
		}
		fmt.Fprintf(out, "%-12s %12d %18s\n", t.Table, t.Rows, money)
	}
	fmt.Fprintf(out, "Copied and compared, every row. The server starts on it with the same DATABASE_URL; keep %s as it is.\n", from)
	return nil
}

func storeOptions(c config.Config, dsn string, log io.Writer) store.Options {
	return store.Options{
		DSN: dsn, Mode: (&Node{config: c}).mode(), Now: time.Now, AllowUnsafe: c.UnsafeDatabase,
		Log: slog.New(slog.NewTextHandler(log, nil)),
	}
}
