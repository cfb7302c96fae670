package rooms

import (
	"bytes"
	"fmt"

	"tickover.dev/codec"
)

// FirstDifference says where two encoded states differ first, by the names of their fields, as "Ships[3].X: 1.5 != 1.25"; "" if they
// are equal.
func FirstDifference(a, b []byte) string {
	if bytes.Equal(a, b) {
		return ""
	}
	d := differ{a: codec.NewReader(a), b: codec.NewReader(b)}
	switch err := d.value(""); {
	case err != nil:
		return err.Error()
	case d.found == "":
		return "one goes on behind the end of the other"
	}
	return d.found
}

// differ walks two msgpack values side by side.
type differ struct {
	a, b  *codec.Reader
	found string
}

// value compares what comes next in both.
func (d *differ) value(path string) error {
	restA, restB := d.a.Rest(), d.b.Rest()
	if len(restA) == 0 || len(restB) == 0 {
		return fmt.Errorf("%s: one ends before the other", path)
	}
	switch a, b := shapeOf(restA[0]), shapeOf(restB[0]); {
	case a == 'm' && b == 'm':
		return d.pairs(path)
	case a == 'a' && b == 'a':
		return d.elements(path)
	}
	rawA, errA := raw(d.a)
	rawB, errB := raw(d.b)
	switch {
	case errA != nil:
		return errA
	case errB != nil:
		return errB
	case !bytes.Equal(rawA, rawB):
		d.found = fmt.Sprintf("%s: %s != %s", path, text(rawA), text(rawB))
	}
	return nil
}

// pairs compares two maps: structs, whose keys are names, and tables.
func (d *differ) pairs(path string) error {
	n, err := d.a.MapLen()
	if err != nil {
		return err
	}
	m, err := d.b.MapLen()
	if err != nil {
		return err
	}
	for range min(n, m) {
		keyA, errA := raw(d.a)
		keyB, errB := raw(d.b)
		switch {
		case errA != nil:
			return errA
		case errB != nil:
			return errB
		case !bytes.Equal(keyA, keyB):
			d.found = fmt.Sprintf("%s: row %s where the other has row %s", path, text(keyA), text(keyB))
			return nil
		}
		if err := d.value(join(path, keyA)); err != nil || d.found != "" {
			return err
		}
	}
	if n != m {
		d.found = fmt.Sprintf("%s: %d rows != %d", path, n, m)
	}
	return nil
}

func (d *differ) elements(path string) error {
	n, err := d.a.ArrayLen()
	if err != nil {
		return err
	}
	m, err := d.b.ArrayLen()
	if err != nil {
		return err
	}
	for i := range min(n, m) {
		if err := d.value(fmt.Sprintf("%s[%d]", path, i)); err != nil || d.found != "" {
			return err
		}
	}
	if n != m {
		d.found = fmt.Sprintf("%s: %d elements != %d", path, n, m)
	}
	return nil
}

// join adds a key to a path: a name as a field, all else as a row.
func join(path string, key []byte) string {
	name, err := codec.NewReader(key).Str()
	switch {
	case err != nil:
		return fmt.Sprintf("%s[%s]", path, text(key))
	case path == "":
		return string(name)
	}
	return path + "." + string(name)
}

// raw reads one value as its bytes.
func raw(r *codec.Reader) ([]byte, error) {
	rest := r.Rest()
	if err := r.Skip(); err != nil {
		return nil, err
	}
	return rest[:len(rest)-len(r.Rest())], nil
}

// shapeOf says by its first byte what a msgpack value is: 'm' a map, 'a' an array, 's' a string, 'f' a float, 'i' an integer, 'x' another.
func shapeOf(first byte) byte {
	switch {
	case first < 0x80 || first >= 0xe0 || first >= 0xcc && first <= 0xd3:
		return 'i'
	case first < 0x90 || first >= 0xde:
		return 'm'
	case first < 0xa0 || first >= 0xdc:
		return 'a'
	case first < 0xc0 || first >= 0xd9:
		return 's'
	case first == 0xca || first == 0xcb:
		return 'f'
	}
	return 'x'
}

// text shows a value to people.
func text(value []byte) string {
	const most = 64
	r := codec.NewReader(value)
	switch shapeOf(value[0]) {
	case 'i':
		if n, err := r.Int(); err == nil {
			return fmt.Sprint(n)
		}
		n, _ := codec.NewReader(value).Uint()
		return fmt.Sprint(n)
	case 'f':
		f, _ := r.Float64()
		return fmt.Sprint(f)
	case 's':
		s, _ := r.Str()
		return fmt.Sprintf("%.*q", most, s)
	case 'm', 'a':
		return fmt.Sprintf("%d bytes", len(value))
	}
	switch value[0] {
	case 0xc0:
		return "nil"
	case 0xc2:
		return "false"
	case 0xc3:
		return "true"
	}
	return fmt.Sprintf("%.*x", most, value)
}
