// Package logs makes the process's one logger. It tells people on the terminal, one short line per record, and machines
// in a rotated file, one JSON object per record. Secrets that were named to it leave by neither, and neither can stop
// a payment: what cannot be written is counted and dropped.
package logs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/DeRuina/timberjack"
)

// Bounds of the log files: at most MaxFiles of MaxFileMB megabytes, none older than MaxAgeDays.
const (
	MaxFiles   = 10
	MaxFileMB  = 20
	MaxAgeDays = 180
	everyDay   = 24 * time.Hour // a file spans no more time than this
)

const (
	dirMode  = 0o700 // of the folder
	fileMode = 0o600 // what was paid by whom is nobody else's business
)

// Options say where records go.
type Options struct {
	Terminal io.Writer // for people; colours only when it is a terminal
	Dir      string    // folder of the file, "" = no file
	Name     string    // of the file in Dir
	Level    slog.Level
}

// Logs is a logger with what it must close.
type Logs struct {
	*slog.Logger

	scrub *scrubber
	file  io.Closer // nil without a file
}

// Open makes the folder and the file, readable by their owner only. The error says what to do when they cannot be
// written.
func Open(o Options) (*Logs, error) {
	l := &Logs{scrub: &scrubber{}}
	people := &sink{w: o.Terminal, scrub: l.scrub}
	terminal := &terminal{out: people, level: o.Level, colour: isTerminal(o.Terminal)}
	if o.Dir == "" {
		l.Logger = slog.New(terminal)
		return l, nil
	}
	file, err := openFile(o.Dir, o.Name, MaxFileMB, MaxFiles)
	if err != nil {
		return nil, fmt.Errorf("cannot write %s (set LOG_DIR to a folder that can be written, or to off): %w",
			filepath.Join(o.Dir, o.Name), err)
	}
	l.file = file
	kept := &lossy{w: file, told: people, name: filepath.Join(o.Dir, o.Name)}
	l.Logger = slog.New(both{terminal, slog.NewJSONHandler(&sink{w: kept, scrub: l.scrub}, &slog.HandlerOptions{Level: o.Level})})
	return l, nil
}

// Close closes the file. Records that come later still reach the terminal.
func (l *Logs) Close() error {
	if l.file == nil {
		return nil
	}
	return l.file.Close()
}

func openFile(dir, name string, megabytes, files int) (*timberjack.Logger, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular(): // the rotation would move it away
		return nil, errors.New("something else than a file has this name")
	default:
		if err := os.Chmod(path, fileMode); err != nil {
			return nil, err
		}
	}
	file := &timberjack.Logger{
		Filename: path, FileMode: fileMode, MaxSize: megabytes, MaxBackups: files - 1, MaxAge: MaxAgeDays,
		RotationInterval: everyDay, LocalTime: true, Compression: "none",
		BackupTimeFormat: "2006-01-02T15-04-05.000000", // elders of one instant would count as one
	}
	_, err = file.Write(nil) // opens it now: whoever starts the process hears of it
	return file, err
}

// sink is where a handler writes its records, one Write each.
type sink struct {
	mu    sync.Mutex
	w     io.Writer
	scrub *scrubber
}

func (s *sink) Write(line []byte) (int, error) {
	clean := s.scrub.clean(line)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.w.Write(clean)
	return len(line), err
}

// lossy keeps a full disk from stopping anything. It says on the terminal when lines begin to be lost and how many were
// when that ends. A sink guards it.
type lossy struct {
	w    io.Writer
	told io.Writer
	name string
	lost int64 // since the last line that was written
	torn bool  // the last line stands there in part
}

func (l *lossy) Write(line []byte) (int, error) {
	whole := line
	if l.torn {
		whole = append([]byte("\n"), line...)
	}
	n, err := l.w.Write(whole)
	if err != nil {
		l.torn = l.torn || n > 0
		if l.lost++; l.lost == 1 {
			l.say("cannot be written, lines are dropped until it can: " + err.Error())
		}
		return len(line), nil
	}
	l.torn = false
	if l.lost > 0 {
		l.say(fmt.Sprintf("is written again, %d lines were dropped", l.lost))
		l.lost = 0
	}
	return len(line), nil
}

func (l *lossy) say(what string) {
	_, _ = fmt.Fprintf(l.told, "%s ERROR the log file %s %s\n", time.Now().Format(clock), l.name, what)
}

// both hands each record to the terminal and to the file.
type both struct{ terminal, file slog.Handler }

func (b both) Enabled(ctx context.Context, level slog.Level) bool { return b.file.Enabled(ctx, level) }

func (b both) Handle(ctx context.Context, r slog.Record) error {
	return errors.Join(b.terminal.Handle(ctx, r), b.file.Handle(ctx, r))
}

func (b both) WithAttrs(attrs []slog.Attr) slog.Handler {
	return both{b.terminal.WithAttrs(attrs), b.file.WithAttrs(attrs)}
}

func (b both) WithGroup(name string) slog.Handler {
	return both{b.terminal.WithGroup(name), b.file.WithGroup(name)}
}
