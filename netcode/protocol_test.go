package netcode_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"tickover.dev/netcode"
)

// example is one block of docs/PROTOCOL.md, section 7: a frame of messages.
type example struct {
	at       string   // its first line, to find it by
	messages [][]byte // as the hex says
	readable []string // as the JSON says
}

func readProtocol(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// section gives the text between the heading that starts with these words and the next of its level.
func section(t *testing.T, document, heading string) string {
	t.Helper()
	_, behind, ok := strings.Cut(document, "\n## "+heading)
	if !ok {
		t.Fatalf("no section %q", heading)
	}
	text, _, _ := strings.Cut(behind, "\n## ")
	return text
}

// readExamples reads the code blocks of section 7: lines that start with [ are messages in JSON's notation, the lines behind each
// are its bytes.
func readExamples(t *testing.T) []example {
	t.Helper()
	var all []example
	for i, block := range strings.Split(section(t, readProtocol(t), "7. Examples"), "```") {
		if i%2 == 0 {
			continue // text between the blocks
		}
		var e example
		for line := range strings.Lines(block) {
			line = strings.TrimSpace(line)
			switch {
			case line == "":
			case line[0] == '[':
				e.readable = append(e.readable, line)
				e.messages = append(e.messages, nil)
			case len(e.messages) == 0:
				t.Fatalf("%q: bytes without a message", line)
			default:
				b, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
				if err != nil {
					t.Fatalf("%q: %v", line, err)
				}
				last := len(e.messages) - 1
				e.messages[last] = append(e.messages[last], b...)
			}
		}
		e.at = e.readable[0]
		all = append(all, e)
	}
	return all
}

// TestExamplesOfTheDocumentAreTrue: without it somebody could write a client from the document and meet a server that speaks
// differently.
func TestExamplesOfTheDocumentAreTrue(t *testing.T) {
	seen := map[netcode.Type]bool{}
	whole := 0
	for _, e := range readExamples(t) {
		frame := bytes.Join(e.messages, nil)
		if err := netcode.Check(frame); err != nil {
			t.Errorf("%s: %v", e.at, err)
			continue
		}
		if len(e.messages) > 1 {
			whole++
		}
		var parser netcode.Parser
		parser.Reset(frame)
		for i, want := range e.messages {
			typ, err := parser.Next()
			m := blankOf(typ)
			if err != nil || m == nil {
				t.Fatalf("%s: type %d, %v", e.readable[i], typ, err)
			}
			if err := parser.Read(m); err != nil {
				t.Fatalf("%s: %v", e.readable[i], err)
			}
			seen[typ] = true
			if got := m.Append(nil); !bytes.Equal(got, want) {
				t.Errorf("%s:\nencodes as % x\nnot as     % x", e.readable[i], got, want)
			}
			if got := fromJSON(t, e.readable[i]); !bytes.Equal(got, want) {
				t.Errorf("%s: its words mean\n% x, its bytes are\n% x", e.readable[i], got, want)
			}
		}
		if _, err := parser.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v behind the last message", e.at, err)
		}
	}
	for _, k := range kinds {
		if !seen[k.usual.Type()] {
			t.Errorf("%s has no example", named(k.usual))
		}
	}
	if whole == 0 {
		t.Error("no example is a frame of several messages")
	}
}

// fromJSON encodes JSON as msgpack, with another library: integers in their shortest form, numbers with a point as float64, the keys
// of maps in the order in which they stand.
func fromJSON(t *testing.T, text string) []byte {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	b, err := encodeJSON(d)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return b
}

func encodeJSON(d *json.Decoder) ([]byte, error) {
	first, err := d.Token()
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	e := msgpack.NewEncoder(&buf)
	switch v := first.(type) {
	case json.Delim:
		return encodeNested(d, v)
	case json.Number:
		i, notInt := v.Int64()
		if notInt == nil {
			err = e.EncodeInt(i)
			break
		}
		f, notFloat := v.Float64()
		err = errors.Join(notFloat, e.EncodeFloat64(f))
	default:
		err = e.Encode(v)
	}
	return buf.Bytes(), err
}

// encodeNested encodes the array or map that was just opened.
func encodeNested(d *json.Decoder, opened json.Delim) ([]byte, error) {
	var content []byte
	n := 0
	for ; d.More(); n++ {
		b, err := encodeJSON(d)
		if err != nil {
			return nil, err
		}
		content = append(content, b...)
	}
	var buf bytes.Buffer
	e := msgpack.NewEncoder(&buf)
	_, err := d.Token() // what closes it
	if opened == '{' {
		err = errors.Join(err, e.EncodeMapLen(n/2))
	} else {
		err = errors.Join(err, e.EncodeArrayLen(n))
	}
	return append(buf.Bytes(), content...), err
}

// TestTablesOfTheDocumentAreTrue: without it a field could be added, moved or renamed in the code alone.
func TestTablesOfTheDocumentAreTrue(t *testing.T) {
	document := readProtocol(t)
	tables := section(t, document, "3. Client to server") + section(t, document, "4. Server to client")
	rows := regexp.MustCompile(`(?m)^\| \d+ \|.*$`).FindAllString(tables, -1)
	if len(rows) != len(kinds) {
		t.Fatalf("%d rows for %d messages", len(rows), len(kinds))
	}
	for i, k := range kinds {
		want := fmt.Sprintf("| %d | %s | %s |", k.usual.Type(), named(k.usual), describe(reflect.TypeOf(k.usual).Elem()))
		if got := strings.Replace(rows[i], " (1)", "", 1); got != want {
			t.Errorf("the document says\n%s, the code\n%s", got, want)
		}
	}
}

// describe lists the fields of a struct as the document does.
func describe(message reflect.Type) string {
	var all []string
	for f := range message.Fields() {
		name := strings.ToLower(f.Name)
		switch f.Name {
		case "RateHz", "RetryMs":
			name = name[:len(name)-2] // the unit is for Go alone
		case "Resumed":
			name = "outcome"
		}
		switch f.Type.Kind() {
		case reflect.String:
			name += " str"
		case reflect.Slice:
			if f.Type.Elem().Kind() == reflect.Struct {
				name += " array of [" + describe(f.Type.Elem()) + "]"
			} else {
				name += " any"
			}
		default:
			name += " uint"
		}
		all = append(all, name)
	}
	return strings.Join(all, ", ")
}
