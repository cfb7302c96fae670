package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"tickover.dev/netcode"
)

// This file is values between JSON, which HTTP clients speak, and msgpack, which games do.

// toMsgpack makes one msgpack value of one of JSON: whole numbers become integers, others floats. Nothing becomes nil. Its errors are
// for whoever sent it.
func toMsgpack(text json.RawMessage) ([]byte, error) {
	if len(text) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	v, err := withNumbers(v)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	e := msgpack.NewEncoder(&out)
	e.SetSortMapKeys(true)
	e.UseCompactInts(true)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	err = netcode.CheckValue(out.Bytes()) // what games' decoders rely on
	if errors.Is(err, netcode.ErrDepth) {
		err = fmt.Errorf("nested deeper than %d", netcode.MaxDepth)
	}
	return out.Bytes(), err
}

// withNumbers puts integers and floats in the place of numbers as text.
func withNumbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i, nil
		}
		if u, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return u, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("number %s is out of range", v)
		}
		if whole := int64(f); math.Abs(f) <= 1<<53 && float64(whole) == f {
			return whole, nil // 1.0 and 1e3, as some write
		}
		return f, nil
	case []any:
		for i := range v {
			if v[i], err = withNumbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = withNumbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// toJSON makes JSON of one msgpack value: bytes become base64, keys of maps text, and what JSON has no word for null. It takes what this
// program has written; of anything else it may make null, too.
func toJSON(value []byte) json.RawMessage {
	var out bytes.Buffer
	if err := writeJSON(&out, msgpack.NewDecoder(bytes.NewReader(value)), maxJSONDepth); err != nil {
		return json.RawMessage("null")
	}
	return out.Bytes()
}

const maxJSONDepth = 64

var errTooDeep = errors.New("too deep")

func writeJSON(out *bytes.Buffer, d *msgpack.Decoder, depth int) error {
	if depth == 0 {
		return errTooDeep
	}
	code, err := d.PeekCode()
	if err != nil {
		return err
	}
	switch {
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		return writeMap(out, d, depth)
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		return writeArray(out, d, depth)
	case msgpcode.IsExt(code):
		_, n, err := d.DecodeExtHeader()
		if err == nil {
			_, err = io.CopyN(io.Discard, d.Buffered(), int64(n))
		}
		out.WriteString("null")
		return err
	}
	v, err := d.DecodeInterface()
	if err != nil {
		return err
	}
	if isNoNumber(v) {
		v = nil
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	err = e.Encode(v)
	out.Truncate(len(bytes.TrimRight(out.Bytes(), "\n")))
	return err
}

// isNoNumber reports whether a value is a float that is infinite, or none at all.
func isNoNumber(v any) bool {
	f, ok := v.(float64)
	if f32, is32 := v.(float32); is32 {
		f, ok = float64(f32), true
	}
	return ok && (math.IsNaN(f) || math.IsInf(f, 0))
}

func writeArray(out *bytes.Buffer, d *msgpack.Decoder, depth int) error {
	n, err := d.DecodeArrayLen()
	out.WriteByte('[')
	for i := 0; i < n && err == nil; i++ {
		if i > 0 {
			out.WriteByte(',')
		}
		err = writeJSON(out, d, depth-1)
	}
	out.WriteByte(']')
	return err
}

func writeMap(out *bytes.Buffer, d *msgpack.Decoder, depth int) error {
	n, err := d.DecodeMapLen()
	out.WriteByte('{')
	for i := 0; i < n && err == nil; i++ {
		if i > 0 {
			out.WriteByte(',')
		}
		var key bytes.Buffer
		if err = writeJSON(&key, d, depth-1); err != nil {
			break
		}
		if text := key.Bytes(); len(text) > 0 && text[0] == '"' {
			out.Write(text)
		} else {
			quoted, _ := json.Marshal(key.String())
			out.Write(quoted)
		}
		out.WriteByte(':')
		err = writeJSON(out, d, depth-1)
	}
	out.WriteByte('}')
	return err
}
