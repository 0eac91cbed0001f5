package doctor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Files is what the doctor asks about files. It reads none of their content.
type Files interface {
	// Stat wraps fs.ErrNotExist when there is nothing at path.
	Stat(path string) (Facts, error)
	// Writable is nil when a file can be made in dir, or dir itself where it is not there yet.
	Writable(dir string) error
}

// Facts are what is known of a file.
type Facts struct {
	Mode  fs.FileMode
	Owner int // user id, -1 = not known
	Self  int // our own user id, -1 = not known
}

// disk is this machine's.
type disk struct{}

func (disk) Stat(path string) (Facts, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Facts{}, err
	}
	return Facts{Mode: info.Mode(), Owner: owner(info), Self: os.Getuid()}, nil
}

func (disk) Writable(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	for { // up to the root, which is there
		_, err := os.Stat(dir)
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	f, err := os.CreateTemp(dir, ".piaohao-doctor-*")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
