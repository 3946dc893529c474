package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// lockName is the file whose lock says that a store is running on the folder.
const lockName = "store.lock"

// errLocked says that another holds the lock.
var errLocked = errors.New("locked")

// lock is held by the one store of a folder. The nil lock is that of a store in memory.
type lock struct{ file *os.File }

func takeLock(folder string) (*lock, error) {
	path := filepath.Join(folder, lockName)
	file, err := openLocked(path)
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("the folder %s is in use by another keyless serve: stop that one, "+
			"or give this one a folder of its own (KEYLESS_DATA)", folder)
	}
	if err != nil {
		return nil, fmt.Errorf("lock the folder of the embedded store: %w", err)
	}
	return &lock{file}, nil
}

func (l *lock) release() error {
	if l == nil {
		return nil
	}
	return closeLocked(l.file)
}
