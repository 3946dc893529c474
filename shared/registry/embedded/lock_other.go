//go:build !unix

package embedded

import (
	"errors"
	"io/fs"
	"os"
)

// openLocked makes the file, which another running store would have made. Where a process was killed the
// operator removes it.
func openLocked(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, errLocked
	}
	return file, err
}

func closeLocked(file *os.File) error { return errors.Join(file.Close(), os.Remove(file.Name())) }
