package faults_test

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"piaohao/internal/e2e/totals"
	"piaohao/internal/store"
)

const sector = 512 // what a disk writes whole or not at all

// files are those of a database on the disk, by their base names. The -shm file is memory that a power cut takes along,
// and the folder's entries count as durable: SQLite flushes the folder when it makes the WAL.
type files map[string][]byte

// afterCut rebuilds what a power cut at a line of the trace leaves: every write that a flush confirmed, and of each other
// one what survives says, sector by sector.
func afterCut(deeds []deed, line int, survives func() bool) files {
	confirmed := map[string]int{} // by file, the begin of the last flush that came back
	for _, d := range deeds {
		if d.kind == "sync" && d.ended > 0 && d.ended <= line && !d.failed {
			confirmed[d.file] = max(confirmed[d.file], d.began)
		}
	}
	out := files{"test.db": nil, wal: nil}
	for _, d := range deeds {
		if _, ours := out[d.file]; !ours || d.began >= line || d.failed {
			continue
		}
		lives := survives
		if d.ended > 0 && d.ended < confirmed[d.file] {
			lives = func() bool { return true }
		}
		switch d.kind {
		case "write":
			out.write(d, lives)
		case "truncate":
			if lives() {
				out[d.file] = slices.Concat(out[d.file], make([]byte, max(0, int(d.at)-len(out[d.file]))))[:d.at]
			}
		}
	}
	return out
}

func (f files) write(d deed, lives func() bool) {
	for from := 0; from < len(d.data); {
		at := int(d.at) + from
		part := d.data[from:min(len(d.data), from+sector-at%sector)]
		from += len(part)
		if !lives() {
			continue
		}
		text := f[d.file]
		if grow := at + len(part) - len(text); grow > 0 {
			text = append(text, make([]byte, grow)...)
		}
		copy(text[at:], part)
		f[d.file] = text
	}
}

// leaving is a number on its way out of the process, at a line of the trace.
type leaving struct {
	line   int
	number string
}

func (tr tracing) leavings() (out []leaving) {
	for _, d := range tr.deeds {
		if d.kind != "say" {
			continue
		}
		for _, number := range said(d.data, tr.notices) {
			out = append(out, leaving{d.began, number})
		}
	}
	return out
}

// numbers are all that a database has.
const numbers = `SELECT id FROM payments UNION ALL SELECT id FROM events UNION ALL SELECT id FROM refunds
	UNION ALL SELECT out_refund_no FROM refunds UNION ALL SELECT id FROM attempts UNION ALL SELECT out_trade_no FROM attempts
	UNION ALL SELECT transaction_id FROM attempts WHERE transaction_id IS NOT NULL`

// opened starts on what a cut left as the program does, and returns what is missing or broken.
func (f files) opened(t *testing.T, told []leaving) error {
	ram := "/dev/shm" // what is flushed here is thrown away at once
	if _, err := os.Stat(ram); err != nil {
		ram = t.TempDir()
	}
	dir, err := os.MkdirTemp(ram, "piaohao-cut-")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "test.db")
	for name, text := range f {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return err
		}
	}
	defer func() { _ = os.RemoveAll(dir) }() // there are many
	ours, err := store.Open(t.Context(), store.Options{DSN: "sqlite:" + path, Mode: "test", Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	if err := ours.Close(); err != nil {
		return err
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	has, err := column(t, db, numbers)
	if err != nil {
		return err
	}
	var errs []error
	for _, l := range told {
		if !has[l.number] {
			errs = append(errs, fmt.Errorf("%s was told and is lost", l.number))
		}
	}
	return errors.Join(append(errs, intact(t.Context(), db), broken(db, always))...)
}

// column is the set of the ends of a query's texts.
func column(t *testing.T, db *sql.DB, query string) (map[string]bool, error) {
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := map[string]bool{}
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		out[text[max(0, len(text)-numberLen):]] = true
	}
	return out, rows.Err()
}

// cuts tries so many places, most of them right after something was told, each with nothing unconfirmed left and with a
// random part of it, side by side, and returns how many states it opened.
func (tr tracing) cuts(t *testing.T, places int) (states int, err error) {
	told := tr.leavings()
	if len(told) == 0 {
		return 0, errors.New("nothing was told")
	}
	last := tr.deeds[len(tr.deeds)-1].began
	var mu sync.Mutex
	var next atomic.Int64
	var all sync.WaitGroup
	for range runtime.NumCPU() {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < places; i = int(next.Add(1)) - 1 {
				dice := mathrand.New(mathrand.NewPCG(7, uint64(i)))
				line := told[i*len(told)/places].line + 1
				if i%4 == 3 {
					line = 1 + dice.IntN(last)
				}
				known, _ := slices.BinarySearchFunc(told, line, func(l leaving, line int) int { return cmp.Compare(l.line, line) })
				for name, survives := range map[string]func() bool{
					"lost": func() bool { return false }, "a random part": func() bool { return dice.IntN(2) == 0 },
				} {
					wrong := afterCut(tr.deeds, line, survives).opened(t, told[:known])
					mu.Lock()
					states++
					if wrong != nil {
						err = errors.Join(err, fmt.Errorf("power cut at line %d, unconfirmed writes %s: %w", line, name, wrong))
					}
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	return states, err
}

func (tr tracing) checkCuts(t *testing.T) {
	places := 20
	if soak {
		places = 2000
	}
	states, err := tr.cuts(t, places)
	if err != nil {
		t.Error(err)
	}
	kinds := map[string]int{}
	for _, d := range tr.deeds {
		kinds[d.kind+" "+d.file]++
	}
	totals.Write(t, "power", totals.Row{What: "writes to the WAL, to the database", Found: fmt.Sprint(kinds["write "+wal], ", ", kinds["write test.db"])},
		totals.Row{What: "flushes of the WAL, of the database", Found: fmt.Sprint(kinds["sync "+wal], ", ", kinds["sync test.db"])},
		totals.Row{What: "places of the cut", Found: places},
		totals.Row{What: "states opened, each whole and with everything that had been told", Found: states})
}

func TestAfterCut(t *testing.T) {
	t.Parallel()
	page := strings.Repeat("p", 2*sector)
	deeds := []deed{
		{kind: "write", file: wal, data: "flushed", began: 1, ended: 1},
		{kind: "sync", file: wal, began: 2, ended: 3},
		{kind: "write", file: wal, data: page, at: 7, began: 4, ended: 5},
		{kind: "sync", file: wal, began: 6, ended: 9},
		{kind: "truncate", file: wal, at: 3, began: 10, ended: 11},
	}
	never, always := func() bool { return false }, func() bool { return true }
	for _, row := range []struct {
		name     string
		line     int
		survives func() bool
		want     string
	}{
		{"before anything", 1, always, ""},
		{"written, not flushed", 2, never, ""},
		{"written, not flushed, and it survived", 2, always, "flushed"},
		{"flushed", 4, never, "flushed"},
		{"the second one during its flush", 7, never, "flushed"},
		{"the second one after its flush", 10, never, "flushed" + page},
		{"cut short, not flushed", 12, never, "flushed" + page},
		{"cut short, and it survived", 12, always, "flu"},
		{"the first sector is lost", 7, func() func() bool { n := 0; return func() bool { n++; return n > 1 } }(), "flushed" + strings.Repeat("\x00", sector-7) + page[sector-7:]},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := string(afterCut(deeds, row.line, row.survives)[wal]); got != row.want {
				t.Errorf("%d bytes %.20q, want %d %.20q", len(got), got, len(row.want), row.want)
			}
		})
	}
}
