package config

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"time"
)

// DefaultEnvFile is read when ENV_FILE is unset and it exists.
const DefaultEnvFile = "./.env"

// FromOS is the Source of a process with these lines of os.Environ: the .env that ENV_FILE names, else ./.env when there
// is one; ENV_FILE=off reads none. The error is Problems.
func FromOS(lines []string) (Source, error) {
	src := Source{Env: Environ(lines), ReadFile: readRegular, Now: time.Now}
	name := src.Env["ENV_FILE"]
	if name == Off {
		return src, nil
	}
	if name != "" {
		src.FileName = name
	} else {
		src.FileName = DefaultEnvFile
	}
	file, err := readAtMost(src.FileName, maxEnvFile+1)
	if name == "" && errors.Is(err, fs.ErrNotExist) {
		src.FileName = ""
		return src, nil
	}
	if err != nil {
		p := Problem{Setting: "ENV_FILE", Code: "file", Text: fileBroken.text, Cure: "it must be a text file"}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.Text, p.Cure = fileMissing.text, fileMissing.cure
		case errors.Is(err, fs.ErrPermission):
			p.Text, p.Cure = "the .env file may not be read", fileDenied.cure
		}
		return src, Problems{p}
	}
	src.File = file
	return src, nil
}

// readRegular reads a key's file. Anything but an ordinary file might never end.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not an ordinary file")
	}
	return readAtMost(path, maxKeyFile+1)
}

func readAtMost(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, limit))
}
