// Package statefile keeps a value in a file between an orderly stop and the next start: written as a whole or not at all, readable by
// its owner only. It knows nothing of versions: values carry their own. It is for one writer at a time.
package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"tickover.dev/codec"
)

// Write replaces the file by v. After an error, or a crash at any moment, the file is what it was before, or v.
func Write[T any](path string, v *T) error {
	b, err := codec.Append(nil, v)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(b)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	return err
}

// Read fills v with what Write wrote, and reports whether there was a file.
func Read[T any](path string, v *T) (found bool, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := codec.Decode(b, v); err != nil {
		return true, fmt.Errorf("read %s: %w", path, err)
	}
	return true, nil
}
