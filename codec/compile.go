package codec

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// errRefused tells a container that one of its element types was refused; the complaints are already noted.
var errRefused = errors.New("codec: type refused")

// compiler works out one type and everything in it.
type compiler struct {
	view       bool
	made       map[reflect.Type]*Codec // named types only: any cycle passes through one
	inside     []*Codec                // those that we are working out, outermost first
	complaints []error
}

func compile(key cacheKey) (*Codec, error) {
	b := compiler{view: key.view, made: map[reflect.Type]*Codec{}}
	root := key.typ.Name()
	if root == "" {
		root = key.typ.String()
	}
	c := b.compile(key.typ, root, 0)
	if err := errors.Join(b.complaints...); err != nil {
		return nil, err
	}
	return c, nil
}

func (b *compiler) refuse(path, what, instead string) {
	b.complaints = append(b.complaints, fmt.Errorf("%s is %s: %s", path, what, instead))
}

// compile gives the codec of t, found at path inside depth arrays and maps. After complaints it is not usable.
func (b *compiler) compile(t reflect.Type, path string, depth int) *Codec {
	if c, ok := b.made[t]; ok {
		if i := slices.Index(b.inside, c); i >= 0 {
			hidden := func(c *Codec) bool { return c.kind == kindContainer }
			c.hidesDepth = c.hidesDepth || slices.ContainsFunc(b.inside[i:], hidden)
		}
		return c
	}
	c := &Codec{typ: t, size: t.Size()}
	if depth > MaxDepth {
		b.refuse(path, fmt.Sprintf("nested deeper than %d", MaxDepth), "no decoder would take it back; make it flatter")
		return c
	}
	if t.Name() != "" {
		b.made[t] = c
	}
	b.inside = append(b.inside, c)
	defer func() { b.inside = b.inside[:len(b.inside)-1] }()
	switch container, ok := asContainer(t); {
	case ok:
		b.container(c, container, path, depth)
	case t == reflect.TypeFor[time.Time]():
		delete(b.made, t)
		b.refuse(path, "a time.Time", "wall clocks differ between nodes; keep t.Now(), a time.Duration")
	case t.Kind() == reflect.Struct:
		b.structure(c, path, depth)
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		b.list(c, path, depth)
	default:
		b.scalar(c, path)
	}
	return c
}

// scalar fills in c for everything without elements, or complains.
func (b *compiler) scalar(c *Codec, path string) {
	switch k := c.typ.Kind(); k {
	case reflect.Bool:
		c.kind = kindBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		c.kind = bySize(c.size, kindInt8, kindInt16, kindInt32, kindInt64)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		c.kind = bySize(c.size, kindUint8, kindUint16, kindUint32, kindUint64)
	case reflect.Float32:
		c.kind = kindFloat32
	case reflect.Float64:
		c.kind = kindFloat64
	case reflect.String:
		c.kind = kindString
	default:
		delete(b.made, c.typ) // complain again wherever it occurs
		what, instead := refusal(k)
		b.refuse(path, what, instead)
	}
}

func bySize(size uintptr, one, two, four, eight kind) kind {
	switch size {
	case 1:
		return one
	case 2:
		return two
	case 4:
		return four
	default:
		return eight
	}
}

// refusal says what a kind of type is and what to keep in its place.
func refusal(k reflect.Kind) (what, instead string) {
	switch k {
	case reflect.Map:
		return "a map", "its order differs between machines; use rooms.Table"
	case reflect.Pointer:
		return "a pointer", "two pointers to one thing become two things; keep its Seat or index"
	case reflect.Interface:
		return "an interface", "what is in it cannot be known before it is read; use one field per type, or rooms.Maybe"
	case reflect.Complex64, reflect.Complex128:
		return "a complex number", "msgpack has none; keep two floats"
	case reflect.Uintptr, reflect.UnsafePointer:
		return "an address", "it means nothing on another node; keep an index"
	default: // chan, func
		return "a " + k.String(), "it cannot be saved; keep the data that it works on"
	}
}

// list fills in c for a slice or an array.
func (b *compiler) list(c *Codec, path string, depth int) {
	slice := c.typ.Kind() == reflect.Slice
	if !slice {
		c.len = c.typ.Len()
	}
	c.elem = b.compile(c.typ.Elem(), path+"[]", depth+1)
	bytes := c.elem.kind == kindUint8
	switch {
	case slice && bytes:
		c.kind = kindBytes
	case slice:
		c.kind = kindSlice
	case bytes:
		c.kind = kindBlob
	default:
		c.kind = kindArray
	}
}

// container fills in c for a type that describes itself.
func (b *compiler) container(c *Codec, container Container, path string, depth int) {
	c.kind = kindContainer
	funcs, err := container.CompileCodec(func(t reflect.Type) (*Codec, error) {
		before := len(b.complaints)
		elem := b.compile(t, path+"[]", depth+1)
		if len(b.complaints) > before {
			return nil, errRefused
		}
		return elem, nil
	})
	switch {
	case errors.Is(err, errRefused):
	case err != nil:
		b.complaints = append(b.complaints, fmt.Errorf("%s: %w", path, err))
	case funcs.Append == nil || funcs.Decode == nil:
		b.refuse(path, "a container without Append or Decode", "its CompileCodec must give both")
	}
	c.funcs = funcs
}

var containerType = reflect.TypeFor[Container]()

// asContainer gives a zero value of t if t is a container of its own. A struct that merely embeds one has its method by
// promotion: to believe that would lose all its other fields.
func asContainer(t reflect.Type) (Container, bool) {
	if !reflect.PointerTo(t).Implements(containerType) {
		return nil, false
	}
	if t.Kind() == reflect.Struct {
		for f := range t.Fields() {
			if f.Anonymous && (f.Type.Implements(containerType) || reflect.PointerTo(f.Type).Implements(containerType)) {
				return nil, false
			}
		}
	}
	c, ok := reflect.New(t).Interface().(Container)
	return c, ok
}

// structure fills in c for a struct.
func (b *compiler) structure(c *Codec, path string, depth int) {
	c.kind = kindStruct
	c.byName = map[string]int{}
	if pkg := c.typ.PkgPath(); pkg == "sync" || pkg == "sync/atomic" {
		b.refuse(path, "a "+c.typ.String(), "one goroutine at a time steps a room; it needs no locks")
		return
	}
	b.addFields(c, c.typ, path, 0, depth)
	if len(c.fields) > MaxFields {
		b.refuse(path, fmt.Sprintf("a struct of %d fields", len(c.fields)), fmt.Sprintf("at most %d; group them", MaxFields))
	}
	c.head = AppendMapLen(nil, len(c.fields))
}

// addFields adds the fields of the struct type t, which lies at offset in c: c's own type or one embedded in it.
func (b *compiler) addFields(c *Codec, t reflect.Type, path string, offset uintptr, depth int) {
	for f := range t.Fields() {
		at := path + "." + f.Name
		_, container := asContainer(f.Type)
		tag, err := parseTag(f.Tag.Get("msgpack"))
		switch {
		case f.Name == "_" || !f.IsExported() && f.Type.Size() == 0:
			// Padding and markers hold nothing that could be lost.
		case err != nil:
			b.complaints = append(b.complaints, fmt.Errorf("%s: %w", at, err))
		case tag == "-" && b.view:
		case tag == "-":
			b.refuse(at, `excluded by its tag`, "it would be lost; keep it, or compute it from the rest")
		case f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct && !container && f.Type != reflect.TypeFor[time.Time]():
			b.addFields(c, f.Type, at, offset+f.Offset, depth)
		case !f.IsExported():
			b.refuse(at, "unexported", "it would be lost; export it, or compute it from the rest")
		default:
			b.addField(c, f, tag, at, offset, depth)
		}
	}
}

func (b *compiler) addField(c *Codec, f reflect.StructField, name, path string, offset uintptr, depth int) {
	if name == "" {
		name = f.Name
	}
	if _, double := c.byName[name]; double {
		b.refuse(path, fmt.Sprintf("the second field named %q", name), `rename one with a tag msgpack:"…"`)
		return
	}
	c.byName[name] = len(c.fields)
	c.fields = append(c.fields, field{
		key:    appendString(nil, name),
		name:   name,
		offset: offset + f.Offset,
		codec:  b.compile(f.Type, path, depth+1),
	})
}

// parseTag gives the name in a field's tag. Options are refused, not ignored: they would change the bytes elsewhere.
func parseTag(tag string) (name string, err error) {
	name, options, _ := strings.Cut(tag, ",")
	switch {
	case options != "":
		return "", fmt.Errorf("tag option %q is not supported: every field is written, by name", options)
	case !utf8.ValidString(name):
		return "", errors.New("tag name is not UTF-8")
	}
	return name, nil
}
