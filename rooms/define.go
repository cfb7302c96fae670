package rooms

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"time"
	"unsafe"

	"tickover.dev/codec"
)

// Kind is a defined kind of room. It has no type parameters, so that a node can hold many. It is read-only.
type Kind struct {
	Config
	err   error
	make  func() running
	rules uint64 // of Durability Replay: what else must be equal where a room is replayed; else 0
}

// Define makes a Kind of a game. start is the state of a new room. It does not panic: what is wrong with the type or the
// configuration is kept for Err, so that a node can print the complaints of all its kinds at once.
func Define[P Game[In], In any](start P, config Config) Kind {
	k := Kind{Config: config.withDefaults()}
	errs := k.Config.complaints()
	state, input, err := compileGame(reflect.TypeFor[P](), reflect.TypeFor[In](), reflect.ValueOf(start).IsNil)
	if err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		k.err = fmt.Errorf("kind %q:\n%w", config.Name, errors.Join(errs...))
		return k
	}
	if k.Durability == Replay {
		k.rules = k.fingerprint()
	}
	first := state.Append(nil, reflect.ValueOf(start).UnsafePointer())
	k.make = func() running {
		r := &room[P, In]{state: state, input: input, first: first}
		r.fresh()
		return r
	}
	return k
}

// Err says, complaint by complaint, why no room of this kind can be made, or is nil.
func (k *Kind) Err() error {
	if k.make == nil && k.err == nil {
		return errors.New("kind: not made by Define")
	}
	return k.err
}

// period is the length of a tick; 0 at rate 0.
func (k *Kind) period() time.Duration {
	if k.RateHz == 0 {
		return 0
	}
	return time.Second / time.Duration(k.RateHz)
}

func compileGame(game, input reflect.Type, isNil func() bool) (state, in *codec.Codec, err error) {
	if game.Kind() != reflect.Pointer || game.Elem().Kind() != reflect.Struct {
		return nil, nil, fmt.Errorf("the game is %s: want a pointer to a struct", game)
	}
	if isNil() {
		return nil, nil, errors.New("the start state is nil")
	}
	state, errState := codec.For(game.Elem())
	in, errIn := codec.For(input)
	return state, in, errors.Join(errState, errIn)
}

// room is a running with its types.
type room[P Game[In], In any] struct {
	state, input *codec.Codec
	first        []byte // the start state
	game         P
	tick         Tick[In]
	events       []Event[In]
	inputs       []In
	shown        seen // codec of the last Public
	dealt        seen // codec of the last Private
}

// fresh gives the room a game in the start state.
func (r *room[P, In]) fresh() {
	v := reflect.New(reflect.TypeFor[P]().Elem())
	r.game = v.Interface().(P)
	if err := r.state.Decode(r.first, v.UnsafePointer()); err != nil {
		panic(err) // what Append wrote, Decode reads
	}
}

func (r *room[P, In]) pointer() unsafe.Pointer { return reflect.ValueOf(r.game).UnsafePointer() }

func (r *room[P, In]) resetInputs() { clear(r.inputs); r.inputs = r.inputs[:0] }

func (r *room[P, In]) decodeInput(body []byte) error {
	var zero In
	r.inputs = append(r.inputs, zero)
	in := &r.inputs[len(r.inputs)-1]
	err := r.input.Decode(body, unsafe.Pointer(in))
	if err == nil {
		if v, ok := any(in).(Validator); ok {
			err = v.Validate()
		}
	}
	if err != nil {
		r.inputs = r.inputs[:len(r.inputs)-1]
	}
	return err
}

func (r *room[P, In]) step(c *core) {
	clear(r.events)
	r.events = r.events[:0]
	next := 0
	for i := range c.list {
		p := &c.list[i]
		e := Event[In]{Type: p.Type, Seat: p.Seat, Name: p.Name, Why: p.Why, Player: p.leaver, index: i, raw: p.Body}
		if p.Type == Input {
			e.Input = r.inputs[next]
			next++
		}
		if s := c.h.Seats.Get(p.Seat); s != nil {
			e.Player = s.player()
		}
		r.events = append(r.events, e)
	}
	r.tick = Tick[In]{c, r.events}
	r.game.Step(&r.tick)
}

func (r *room[P, In]) appendState(dst []byte) []byte { return r.state.Append(dst, r.pointer()) }

func (r *room[P, In]) restore(state []byte, from, version int) error {
	if m, ok := any(r.game).(Migrator); ok && from != version {
		return m.Migrate(from, state)
	}
	return r.state.Decode(state, r.pointer())
}

func (r *room[P, In]) appendPublic(dst []byte) ([]byte, bool) {
	p, ok := any(r.game).(Publisher)
	if !ok {
		return dst, false
	}
	return r.shown.append(dst, p.Public()), true
}

func (r *room[P, In]) appendPrivate(dst []byte, s Seat) ([]byte, bool) {
	d, ok := any(r.game).(Dealer)
	if !ok {
		return dst, false
	}
	return r.dealt.append(dst, d.Private(s)), true
}

// newCore makes a room of kind k in its start state, its generator seeded.
func newCore(id ID, k *Kind, log *slog.Logger, seed1, seed2 uint64) *core {
	c := &core{id: id, kind: k, game: k.make(), log: log}
	c.alarmAt = -1
	c.pcg = rand.NewPCG(seed1, seed2)
	c.rand = rand.New(c.pcg)
	return c
}
