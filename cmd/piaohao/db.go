package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"piaohao/internal/node"
)

type db struct {
	Copy dbCopy `cmd:"" help:"Copy the SQLite database to the empty PostgreSQL of DATABASE_URL."`
}

type dbCopy struct {
	From string `help:"The SQLite file; else that of DATA_DIR." type:"path"`
}

// Help says what it needs and what it leaves.
func (dbCopy) Help() string {
	return "Stop the server first. The copy is one transaction: all of it, compared row by row, or nothing; after a failure run it " +
		"again. The SQLite file stays. Exit code: 0 copied, 1 not copied."
}

// Run shows a bar where somebody looks at it.
func (v dbCopy) Run(ctx context.Context) error {
	c, err := settings()
	if err != nil {
		return err
	}
	b := newBar()
	err = node.CopyDatabase(ctx, c, v.From, b.told, os.Stdout)
	b.end()
	return err
}

// bar is one line that is written over again.
type bar struct {
	out   io.Writer
	shown string
}

const barWidth = 30

// newBar is seen on a terminal only.
func newBar() *bar {
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		return &bar{out: os.Stderr}
	}
	return &bar{out: io.Discard}
}

func (b *bar) told(table string, done, total int64) {
	full := barWidth
	if total > 0 {
		full = int(done * barWidth / total)
	}
	line := fmt.Sprintf("%-12s [%s%s] %d of %d", table, strings.Repeat("#", full), strings.Repeat("·", barWidth-full), done, total)
	if line == b.shown {
		return
	}
	b.shown = line
	_, _ = fmt.Fprintf(b.out, "\r\x1b[K%s", line) // nothing depends on it
}

// end takes the line away.
func (b *bar) end() {
	if b.shown != "" {
		_, _ = fmt.Fprint(b.out, "\r\x1b[K")
	}
}
