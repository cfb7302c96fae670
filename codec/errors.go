package codec

import (
	"errors"
	"fmt"
	"strings"
)

// What is wrong with bytes that do not decode; [DecodeError] says where.
var (
	ErrShort    = errors.New("codec: bytes end before the value does")
	ErrTrailing = errors.New("codec: bytes after the value")
	ErrDepth    = errors.New("codec: nested too deep")
	ErrMismatch = errors.New("codec: another type than expected")
	ErrRange    = errors.New("codec: number does not fit")
	ErrLength   = errors.New("codec: array of another length")
	ErrUTF8     = errors.New("codec: string is not UTF-8")
)

// DecodeError says where in a value which problem was met: "codec: Keys.DX: want float, got string".
type DecodeError struct {
	Path   string // such as "Keys.DX" or "Shots[3].By"; empty for the value itself
	Detail string // such as "want float, got string"
	Err    error  // one of the sentinels of this package
}

func (e *DecodeError) Error() string {
	if e.Path == "" {
		return "codec: " + e.Detail
	}
	return "codec: " + e.Path + ": " + e.Detail
}

func (e *DecodeError) Unwrap() error { return e.Err }

func problem(sentinel error, format string, args ...any) error {
	return &DecodeError{Detail: fmt.Sprintf(format, args...), Err: sentinel}
}

// Within puts step, a field name or an index like "[3]", in front of the path of a [*DecodeError]. Other errors are
// returned as they are.
func Within(step string, err error) error {
	e, ok := errors.AsType[*DecodeError](err)
	if !ok {
		return err
	}
	path := step
	if e.Path != "" && !strings.HasPrefix(e.Path, "[") {
		path += "."
	}
	return &DecodeError{Path: path + e.Path, Detail: e.Detail, Err: e.Err}
}
