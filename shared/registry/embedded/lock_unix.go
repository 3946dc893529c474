//go:build unix

package embedded

import (
	"errors"
	"os"
	"syscall"
)

// openLocked takes an advisory lock, which the system releases when the process ends, however it ends.
func openLocked(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	_ = file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errLocked
	}
	return nil, err
}

// closeLocked leaves the file: to remove it would let a third process lock another one of the same name. It unlocks first: a child that
// this process is just starting has the file too until it executes, and closing ours alone would leave it locked that long.
func closeLocked(file *os.File) error {
	return errors.Join(syscall.Flock(int(file.Fd()), syscall.LOCK_UN), file.Close())
}
