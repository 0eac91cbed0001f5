package config

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"piaohao/internal/channel"
)

// loader collects problems while the settings are read, so that the user mends all of them in one go.
type loader struct {
	src     Source
	now     time.Time
	file    map[string]entry
	drivers []channel.Driver

	values   map[string]string // of the drivers' settings, read once
	faulty   map[string]bool   // settings with a problem: what follows from it is not reported as well
	problems Problems
	warnings Problems
	live     bool
	decided  bool // live is what the settings say; else they contradict each other
}

func newLoader(src Source, drivers []channel.Driver) *loader {
	l := &loader{src: src, drivers: drivers, values: map[string]string{}, faulty: map[string]bool{}, now: time.Now()}
	if src.Now != nil {
		l.now = src.Now()
	}
	if src.File != nil {
		l.file, l.problems = parseEnv(src.File, src.FileName)
		for _, p := range l.problems {
			l.faulty[p.Setting] = true
		}
	}
	return l
}

// get is the value of a variable: the environment's, or else the file's.
func (l *loader) get(name string) string {
	if v := l.src.Env[name]; v != "" {
		return v
	}
	v := l.file[name].text
	if !utf8.ValidString(v) {
		l.fail(name, envEncoding)
		return ""
	}
	return v
}

// where says which line of the file name comes from; "" and 0 when the file is not what sets it.
func (l *loader) where(name string) (file string, line int) {
	if e, ok := l.file[name]; ok && l.src.Env[name] == "" {
		return l.src.FileName, e.line
	}
	return "", 0
}

// fail reports a fault of a variable. One variable has one problem of a kind.
func (l *loader) fail(name string, f fault) {
	p := l.problem(name, f)
	if slices.ContainsFunc(l.problems, func(old Problem) bool { return old.Setting == p.Setting && old.Code == p.Code && p.Setting != "" }) {
		return
	}
	l.faulty[name] = true
	l.problems = append(l.problems, p)
}

func (l *loader) warn(name string, f fault) { l.warnings = append(l.warnings, l.problem(name, f)) }

func (l *loader) problem(name string, f fault) Problem {
	file, line := l.where(name)
	return Problem{File: file, Line: line, Setting: name, Code: f.code, Text: f.text, Cure: f.cure}
}

// invalid reports a variable that cannot be read; cure says how to write it.
func (l *loader) invalid(name, cure string) { l.fail(name, fault{code: "invalid", text: cure}) }

func (l *loader) text(name, otherwise string) string { return cmp.Or(l.get(name), otherwise) }

// sorted puts the problems of the file first, in the order of its lines.
func sorted(problems Problems) Problems {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) {
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Compare(a.Line, b.Line)
	})
	return problems
}

// maxKeyFile bounds a file named by a variable with _FILE, in bytes.
const maxKeyFile = 64 << 10

// Faults of a variable with _FILE. A key pasted there is as secret as elsewhere, so that no path is shown.
var (
	fileBoth    = fault{"both", "this variable and the one without _FILE are both set", "keep one of the two"}
	fileRefused = fault{"file", "files are not read here", "put the content into the variable without _FILE"}
	fileContent = fault{"file", "holds a key, not the name of a file", "put it into the variable without _FILE"}
	fileMissing = fault{"file", "there is no such file", "write its path as seen from the folder in which the program starts"}
	fileDenied  = fault{"file", "the file may not be read", "make it readable for the user under whom the program runs (chown, chmod 400)"}
	fileBroken  = fault{"file", "the file cannot be read", "it must be an ordinary file"}
	fileLarge   = fault{"too_large", "the file has more than 64 KiB", "name the file of the key alone"}
	fileEmpty   = fault{"file", "the file is empty", "download it again"}
)

// fromFile reads the file that variable names; "" with a problem.
func (l *loader) fromFile(variable, path string) string {
	if l.src.ReadFile == nil {
		l.fail(variable, fileRefused)
		return ""
	}
	if strings.Contains(path, armourBegin) || strings.Contains(path, "\n") || len(path) > 1024 {
		l.fail(variable, fileContent)
		return ""
	}
	content, err := l.src.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.fail(variable, fileMissing)
	case errors.Is(err, fs.ErrPermission):
		l.fail(variable, fileDenied)
	case err != nil:
		l.fail(variable, fileBroken)
	case len(content) > maxKeyFile:
		l.fail(variable, fileLarge)
	case len(strings.TrimSpace(string(content))) == 0:
		l.fail(variable, fileEmpty)
	default:
		return textOf(content)
	}
	return ""
}
