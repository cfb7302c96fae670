package netcode_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tickover.dev/codec"
	"tickover.dev/netcode"
)

// TestMissingFieldsReadAsZero: without it an old program's shorter messages would be refused, or filled with what the message
// before them held.
func TestMissingFieldsReadAsZero(t *testing.T) {
	for _, k := range kinds {
		all := elements(t, k.largest.Append(nil))
		for kept := 1; kept <= len(all); kept++ {
			want := zero(k.usual)
			for i := range kept - 1 {
				reflect.ValueOf(want).Elem().Field(i).Set(reflect.ValueOf(k.largest).Elem().Field(i))
			}
			got := blank(k.usual)
			if err := parse(k.usual.Append(nil), got); err != nil { // so that there is something to be left over
				t.Fatal(err)
			}
			if err := parse(join(all[:kept]...), got); err != nil {
				t.Fatalf("%T with %d elements: %v", got, kept, err)
			}
			if !same(got, want) {
				t.Errorf("%d elements: got %+v, want %+v", kept, got, want)
			}
		}
	}
}

// TestUnknownFieldsBehindAreIgnored: without it no field could ever be added to a message.
func TestUnknownFieldsBehindAreIgnored(t *testing.T) {
	future := [][]byte{[]byte("\x81\xa1x\x92\x01\x02"), bytes.Repeat([]byte{7}, 1), deep, []byte("\xd9\x01x")}
	for _, k := range kinds {
		frame := join(append(elements(t, k.usual.Append(nil)), future...)...)
		frame = (&netcode.Ping{Time: 7}).Append(frame)
		if err := netcode.Check(frame); err != nil {
			t.Fatal(err)
		}
		var parser netcode.Parser
		parser.Reset(frame)
		got := blank(k.usual)
		if _, err := parser.Next(); err != nil {
			t.Fatal(err)
		}
		if err := parser.Read(got); err != nil || !same(got, k.usual) {
			t.Errorf("got %+v and %v, want %+v", got, err, k.usual)
		}
		wantPing(t, &parser)
	}
}

// TestUnknownFieldsOfHeldRoomsAreIgnored: without it the one nested array of the protocol could not grow.
func TestUnknownFieldsOfHeldRoomsAreIgnored(t *testing.T) {
	frame := []byte("\x97\x01\x01\x00\xa0\xa0\xa0\x94" + "\x95\xa2r1\x02\x03\x81\x01\x01\x90" + "\x91\xa2r2" + "\x90" + "\xc0")
	want := []netcode.Held{{Room: "r1", Seat: 2, Reliable: 3}, {Room: "r2"}, {}, {}}
	var got netcode.Hello
	if err := parse(frame, &got); err != nil || !slices.Equal(got.Rooms, want) {
		t.Errorf("got %+v and %v, want %+v", got.Rooms, err, want)
	}
}

// TestAHelloWithoutAnAttemptIsRead: without it clients of before would be turned away; and one that follows a numbered hello must not
// get that one's number.
func TestAHelloWithoutAnAttemptIsRead(t *testing.T) {
	got := netcode.Hello{Attempt: 9}
	want := netcode.Hello{Version: 1, Run: 7, Session: "s", Secret: "k"}
	if err := parse([]byte("\x97\x01\x01\x07\xa0\xa1s\xa1k\x90"), &got); err != nil || !same(&got, &want) {
		t.Errorf("got %+v and %v, want %+v", got, err, want)
	}
	for _, wrong := range []string{"\xff", "\xa19", "\xcf\x00\x20\x00\x00\x00\x00\x00\x00", "\x90"} {
		if err := parse([]byte("\x98\x01\x01\x07\xa0\xa1s\xa1k\x90"+wrong), &got); !errors.Is(err, netcode.ErrField) {
			t.Errorf("attempt % x: got %+v and %v, want ErrField", wrong, got, err)
		}
	}
}

// wantPing expects a ping of time 7 and then the end of the frame.
func wantPing(t *testing.T, parser *netcode.Parser) {
	t.Helper()
	if typ, err := parser.Next(); err != nil || typ != netcode.TypePing {
		t.Fatalf("got type %d and %v, want a ping", typ, err)
	}
	var ping netcode.Ping
	if err := parser.Read(&ping); err != nil || ping.Time != 7 {
		t.Fatalf("got %+v and %v, want time 7", ping, err)
	}
	for range 2 {
		if _, err := parser.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("got %v, want the end", err)
		}
	}
}

// TestUnreadMessagesAreSkipped: without it a reader that does not know a type, or does not care, would lose its place in the frame.
func TestUnreadMessagesAreSkipped(t *testing.T) {
	frame := []byte("\x93\xcc\xc8\x81\xa1x\x01\x92\x01\x02") // type 200, which nobody has thought of
	for _, k := range kinds {
		frame = k.usual.Append(frame)
	}
	frame = (&netcode.Ping{Time: 7}).Append(frame)
	var parser netcode.Parser
	parser.Reset(frame)
	if typ, err := parser.Next(); typ != 200 || err != nil {
		t.Fatalf("got type %d and %v, want 200", typ, err)
	}
	for _, k := range kinds {
		if typ, err := parser.Next(); typ != k.usual.Type() || err != nil {
			t.Fatalf("got type %d and %v, want %d", typ, err, k.usual.Type())
		}
	}
	wantPing(t, &parser)
}

// TestMessagesWithoutATypeAreRefused: without it an array of something else could pass for a message.
func TestMessagesWithoutATypeAreRefused(t *testing.T) {
	for _, frame := range []string{
		"\x90", "\xdc\x00\x00", "\x91\xc0", "\x91\xa1x", "\x91\xff", "\x91\xcd\x01\x00", "\x91\x91\x06",
		"\x91\xcb\x40\x18\x00\x00\x00\x00\x00\x00",
	} {
		if err := netcode.Check([]byte(frame)); err != nil {
			t.Fatalf("% x: %v", frame, err)
		}
		var parser netcode.Parser
		parser.Reset([]byte(frame))
		for range 2 {
			if typ, err := parser.Next(); !errors.Is(err, netcode.ErrField) {
				t.Errorf("% x: got type %d and %v, want %v", frame, typ, err, netcode.ErrField)
			}
		}
	}
}

// wrong gives well-formed values that a field of this Go type must refuse.
func wrong(field reflect.StructField) []string {
	values := []string{"\xc3", "\xca\x3f\x80\x00\x00", "\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", "\x81\xa1x\x01", "\xc4\x01\x01"}
	number := append(values, "\xc0", "\xa1x", "\xa0", "\x90", "\x91\x01", "\xff", "\xd0\xff", "\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
		"\xcf\x00\x20\x00\x00\x00\x00\x00\x00", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\xd3\x00\x20\x00\x00\x00\x00\x00\x00")
	switch reflect.Zero(field.Type).Interface().(type) {
	case string:
		limit := netcode.MaxNameBytes
		if field.Name == "Token" || field.Name == "Message" {
			limit = netcode.MaxTokenBytes
		}
		return append(values, "\x01", "\x90", "\x91\xa1x", string(codec.AppendString(nil, strings.Repeat("x", limit+1))))
	case []byte:
		return nil // a Raw field is the game's own
	case []netcode.Held:
		many := string(codec.AppendArrayLen(nil, netcode.MaxHeldRooms+1)) + strings.Repeat("\x90", netcode.MaxHeldRooms+1)
		return append(values, "\x01", "\xa1x", "\x91\x01", "\x91\xa1x", "\x91\x93\x01\x01\x01", "\x91\x92\xa1x\xff",
			"\x91\xdc\x00\x11\xa0\x00\x00"+strings.Repeat("\xc0", 14), many)
	case uint32:
		return append(number, "\xcf\x00\x00\x00\x01\x00\x00\x00\x00")
	case netcode.JoinMode:
		return append(number, "\x04", "\xcc\xff", "\xcd\x01\x00", "\xcd\x01\x01")
	case netcode.JoinOutcome, netcode.RoomStatus:
		return append(number, "\xcd\x01\x00", "\xce\x00\x01\x00\x00")
	default:
		return number
	}
}

// TestFieldsOfTheWrongTypeAreRefused: without it numbers that JavaScript rounds, names without bound and values of another type
// would get into the server. The error stays: what follows in the frame is not to be trusted.
func TestFieldsOfTheWrongTypeAreRefused(t *testing.T) {
	for _, k := range kinds {
		all := elements(t, k.usual.Append(nil))
		for i := range reflect.TypeOf(k.usual).Elem().NumField() {
			field := reflect.TypeOf(k.usual).Elem().Field(i)
			for _, value := range wrong(field) {
				changed := slices.Clone(all)
				changed[i+1] = []byte(value)
				frame := (&netcode.Ping{}).Append(join(changed...))
				if err := netcode.Check(frame); err != nil {
					t.Fatalf("% x: %v", frame, err)
				}
				var parser netcode.Parser
				parser.Reset(frame)
				if _, err := parser.Next(); err != nil {
					t.Fatal(err)
				}
				if err := parser.Read(blank(k.usual)); !errors.Is(err, netcode.ErrField) {
					t.Errorf("%T.%s = % .20x: got %v, want %v", k.usual, field.Name, value, err, netcode.ErrField)
				}
				if _, err := parser.Next(); !errors.Is(err, netcode.ErrField) {
					t.Errorf("%T.%s = % .20x: Next goes on with %v", k.usual, field.Name, value, err)
				}
			}
		}
	}
}

// TestAnyFormOfAnIntegerIsRead: without it clients whose library does not write the shortest form would be refused.
func TestAnyFormOfAnIntegerIsRead(t *testing.T) {
	for value, want := range map[string]uint64{
		"\x07": 7, "\xcc\x07": 7, "\xcd\x00\x07": 7, "\xce\x00\x00\x00\x07": 7, "\xcf\x00\x00\x00\x00\x00\x00\x00\x07": 7,
		"\xd0\x07": 7, "\xd1\x00\x07": 7, "\xd2\x00\x00\x00\x07": 7, "\xd3\x00\x00\x00\x00\x00\x00\x00\x07": 7,
		"\xcf\x00\x1f\xff\xff\xff\xff\xff\xff": netcode.MaxUint,
	} {
		var got netcode.Ping
		if err := parse([]byte("\x92\x06"+value), &got); err != nil || got.Time != want {
			t.Errorf("% x: got %d and %v, want %d", value, got.Time, err, want)
		}
	}
}

// TestStringsAreCopied: without it what a session keeps would change when the read buffer is used again.
func TestStringsAreCopied(t *testing.T) {
	for _, k := range kinds {
		frame := k.usual.Append(nil)
		got := blank(k.usual)
		if err := parse(frame, got); err != nil {
			t.Fatal(err)
		}
		for _, f := range reflect.ValueOf(got).Elem().Fields() {
			if f.Type() == reflect.TypeFor[[]byte]() {
				f.SetBytes(slices.Clone(f.Bytes())) // these refer to the frame, as documented
			}
		}
		clear(frame)
		if !same(got, k.usual) {
			t.Errorf("got %+v, want %+v", got, k.usual)
		}
	}
}

// TestAppendingToARawFieldSparesTheFrame: without it code that appends to a value would write over the message behind it.
func TestAppendingToARawFieldSparesTheFrame(t *testing.T) {
	frame := (&netcode.Ping{Time: 7}).Append((&netcode.State{Value: steer}).Append(nil))
	var parser netcode.Parser
	parser.Reset(frame)
	if _, err := parser.Next(); err != nil {
		t.Fatal(err)
	}
	var state netcode.State
	if err := parser.Read(&state); err != nil {
		t.Fatal(err)
	}
	_ = append(state.Value, "and more"...)
	wantPing(t, &parser)
}

// TestHotPathsDoNotAllocate: without it every input of every player could cost garbage.
func TestHotPathsDoNotAllocate(t *testing.T) {
	frame := (&netcode.Ack{Room: 1}).Append(usualInput.Append(nil))
	state := (&netcode.State{Value: fleet()}).Append(nil)
	tick := netcode.Tick{Room: 1, Epoch: 1_795_000_000_000, Tick: 40213, Applied: 5821}
	buf := make([]byte, 0, 64)
	var parser netcode.Parser
	var input netcode.Input
	var ack netcode.Ack
	for name, f := range map[string]func() error{
		"check a frame":   func() error { return netcode.Check(frame) },
		"check a state":   func() error { return netcode.Check(state) },
		"append an input": func() error { buf = usualInput.Append(buf[:0]); return nil },
		"append a tick":   func() error { buf = tick.Append(buf[:0]); return nil },
		"parse an input and an ack": func() error {
			parser.Reset(frame)
			_, err := parser.Next()
			err = errors.Join(err, parser.Read(&input))
			_, next := parser.Next()
			err = errors.Join(err, next, parser.Read(&ack))
			if _, end := parser.Next(); !errors.Is(end, io.EOF) {
				return errors.Join(err, end)
			}
			return err
		},
		"refuse": func() error {
			for i := range refused {
				if netcode.Check(refusedFrames[i]) == nil {
					return errors.New(refused[i].name)
				}
			}
			return nil
		},
	} {
		var err error
		if n := testing.AllocsPerRun(100, func() { err = f() }); n != 0 || err != nil {
			t.Errorf("%s: %v allocations, %v", name, n, err)
		}
	}
}

var refusedFrames = func() (frames [][]byte) {
	for _, r := range refused {
		frames = append(frames, []byte(r.frame))
	}
	return frames
}()
