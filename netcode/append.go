package netcode

import "tickover.dev/codec"

func (m *Hello) Append(dst []byte) []byte {
	dst = putUints(head(dst, 8, TypeHello), m.Version, uint64(m.Run))
	dst = putStrings(dst, m.Token, m.Session, m.Secret)
	dst = codec.AppendArrayLen(dst, len(m.Rooms))
	for _, h := range m.Rooms {
		dst = codec.AppendString(codec.AppendArrayLen(dst, 3), h.Room)
		dst = putUints(dst, h.Seat, h.Reliable)
	}
	return putUints(dst, m.Attempt)
}

func (m *Join) Append(dst []byte) []byte {
	dst = putUints(head(dst, 6, TypeJoin), m.Request, uint64(m.Mode))
	return putRaw(putStrings(dst, m.Kind, m.Target), m.Options)
}

func (m *Leave) Append(dst []byte) []byte {
	return putUints(head(dst, 3, TypeLeave), m.Request, m.Room)
}

func (m *Input) Append(dst []byte) []byte {
	return putRaw(putUints(head(dst, 6, TypeInput), m.Room, m.Number, m.Reliable, m.State), m.Value)
}

func (m *Ack) Append(dst []byte) []byte {
	return putUints(head(dst, 4, TypeAck), m.Room, m.Reliable, m.State)
}

func (m *Ping) Append(dst []byte) []byte { return putUints(head(dst, 2, TypePing), m.Time) }

func (m *Welcome) Append(dst []byte) []byte {
	dst = putUints(head(dst, 10, TypeWelcome), m.Version)
	dst = putStrings(dst, m.Session, m.Secret, m.Player, m.Name)
	outcome := uint64(0)
	if m.Resumed {
		outcome = 1
	}
	return putStrings(putUints(dst, m.Time, outcome, m.Kept), m.Node)
}

func (m *Joined) Append(dst []byte) []byte {
	dst = putUints(head(dst, 13, TypeJoined), m.Request, m.Room)
	dst = putStrings(dst, m.ID, m.Kind, m.Key)
	return putUints(dst, m.Seat, m.RateHz, m.Epoch, m.Tick, uint64(m.Outcome), m.Reliable, m.Applied)
}

func (m *Left) Append(dst []byte) []byte {
	dst = putUints(head(dst, 5, TypeLeft), m.Request, m.Room)
	return putRaw(codec.AppendString(dst, m.Why), m.Result)
}

func (m *Tick) Append(dst []byte) []byte {
	return putUints(head(dst, 5, TypeTick), m.Room, m.Epoch, m.Tick, m.Applied)
}

func (m *State) Append(dst []byte) []byte   { return putRaw(head(dst, 2, TypeState), m.Value) }
func (m *Private) Append(dst []byte) []byte { return putRaw(head(dst, 2, TypePrivate), m.Value) }

func (m *Event) Append(dst []byte) []byte {
	dst = putUints(head(dst, 4, TypeEvent), m.Number)
	return putRaw(codec.AppendString(dst, m.Name), m.Value)
}

func (m *Reply) Append(dst []byte) []byte {
	return putRaw(putUints(head(dst, 5, TypeReply), m.Number, uint64(m.Run), m.Input), m.Value)
}

func (m *Refusal) Append(dst []byte) []byte {
	dst = putUints(head(dst, 6, TypeRefusal), m.Number, uint64(m.Run), m.Input)
	return putStrings(dst, m.Code, m.Message)
}

func (m *Error) Append(dst []byte) []byte {
	dst = putStrings(putUints(head(dst, 5, TypeError), m.Request), m.Code, m.Message)
	return putUints(dst, m.RetryMs)
}

func (m *Pong) Append(dst []byte) []byte { return putUints(head(dst, 3, TypePong), m.Time, m.Now) }

func (m *Resend) Append(dst []byte) []byte {
	return putUints(head(dst, 3, TypeResend), m.Room, m.Number)
}

func (m *Status) Append(dst []byte) []byte {
	return putUints(head(dst, 5, TypeStatus), m.Room, uint64(m.Status), m.Epoch, m.Tick)
}

func (m *Gone) Append(dst []byte) []byte {
	return putRaw(putStrings(head(dst, 4, TypeGone), m.ID, m.Why), m.Result)
}

func (m *Clock) Append(dst []byte) []byte {
	return putUints(head(dst, 4, TypeClock), m.Room, m.Tick, m.Time)
}

func (*Hello) Type() Type   { return TypeHello }
func (*Join) Type() Type    { return TypeJoin }
func (*Leave) Type() Type   { return TypeLeave }
func (*Input) Type() Type   { return TypeInput }
func (*Ack) Type() Type     { return TypeAck }
func (*Ping) Type() Type    { return TypePing }
func (*Welcome) Type() Type { return TypeWelcome }
func (*Joined) Type() Type  { return TypeJoined }
func (*Left) Type() Type    { return TypeLeft }
func (*Tick) Type() Type    { return TypeTick }
func (*State) Type() Type   { return TypeState }
func (*Private) Type() Type { return TypePrivate }
func (*Event) Type() Type   { return TypeEvent }
func (*Reply) Type() Type   { return TypeReply }
func (*Refusal) Type() Type { return TypeRefusal }
func (*Error) Type() Type   { return TypeError }
func (*Pong) Type() Type    { return TypePong }
func (*Resend) Type() Type  { return TypeResend }
func (*Status) Type() Type  { return TypeStatus }
func (*Gone) Type() Type    { return TypeGone }
func (*Clock) Type() Type   { return TypeClock }
