package floor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Stage is how far a player goes before it plays or waits.
type Stage uint8

const (
	// Connected players have a WebSocket, which is all the floor knows.
	Connected Stage = iota + 1
	// Welcomed players have a session and are in no room.
	Welcomed
	// Joined players have a seat in a room.
	Joined
)

// CrowdConfig says who comes.
type CrowdConfig struct {
	Addr    netip.AddrPort
	Players int           // 1 to 19,000: each is a descriptor of this process
	Enter   Stage         // how far they go
	Kind    string        // of the rooms, for Joined
	PerRoom int           // players of one room, for Joined; default 20
	State   int           // bytes that a frame with a state has at least; default 256
	Every   time.Duration // between two inputs of a player, in whole milliseconds; default 50 ms
}

// Crowd is many players on one thread: sockets, one epoll instance, no goroutine and no memory per message. It is to be used by one
// goroutine that is locked to its thread, so that its system calls cost little.
type Crowd struct {
	config  CrowdConfig
	epoll   int
	players []player
	entered int
	rand    *rand.Rand

	events []unix.EpollEvent
	room   [64 << 10]byte // what is being read
	frame  inputFrame     // what is being sent

	// The schedule of inputs: a wheel with a slot per millisecond of Every. Each player has a slot of its own choice, as real ones do.
	wheel [][]int32
	next  time.Time // when the next slot is due
	slot  int

	count Count
}

// player is one socket.
type player struct {
	fd     int
	stage  Stage
	number uint32 // of its last input
	tick   uint32 // newest that it has seen
	rest   []byte // of a frame that is not whole yet; nearly always empty
}

// Count is what a crowd did in one go.
type Count struct {
	Elapsed time.Duration
	States  uint64        // frames with a whole state that arrived
	Ticks   uint64        // by how many ticks the players went on, all together; with every state on its way this equals States
	Inputs  uint64        // sent
	Late    time.Duration // the longest that an input was sent after its time: the client's own trouble
}

const (
	entering    = 64               // players on their way in at once: a listener's queue holds many more
	enterWithin = 60 * time.Second // for all of them
	idlePing    = 5 * time.Second  // docs/PROTOCOL.md, section 2
)

// Gather connects a crowd and takes it as far as config.Enter says.
func Gather(ctx context.Context, config CrowdConfig) (*Crowd, error) {
	if config.PerRoom == 0 {
		config.PerRoom = 20
	}
	if config.Every == 0 {
		config.Every = 50 * time.Millisecond
	}
	if config.State == 0 {
		config.State = stateBytes
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	c := &Crowd{
		config: config, epoll: epoll, players: make([]player, 0, config.Players), rand: rand.New(rand.NewPCG(1, 2)),
		events: make([]unix.EpollEvent, 512), wheel: make([][]int32, config.Every/time.Millisecond),
	}
	if err := c.enter(ctx); err != nil {
		return nil, errors.Join(err, c.Leave())
	}
	return c, nil
}

// enter brings all players in, a few at a time.
func (c *Crowd) enter(ctx context.Context) error {
	deadline := time.Now().Add(enterWithin)
	for c.entered < c.config.Players {
		for len(c.players) < c.config.Players && len(c.players)-c.entered < entering {
			if err := c.connect(); err != nil {
				return fmt.Errorf("player %d of %d: %w", len(c.players)+1, c.config.Players, err)
			}
		}
		if err := c.hear(ctx, 10); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("only %d of %d players got in within %v", c.entered, c.config.Players, enterWithin)
		}
	}
	return nil
}

// connect opens one more socket and asks for the upgrade.
func (c *Crowd) connect() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	i := len(c.players)
	c.players = append(c.players, player{fd: fd})
	slot := c.rand.IntN(len(c.wheel))
	c.wheel[slot] = append(c.wheel[slot], int32(i))
	to := &unix.SockaddrInet4{Port: int(c.config.Addr.Port()), Addr: c.config.Addr.Addr().As4()}
	if err := unix.Connect(fd, to); err != nil {
		return os.NewSyscallError("connect", err)
	}
	if err := errors.Join(
		unix.SetNonblock(fd, true),
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.EpollCtl(c.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}),
	); err != nil {
		return err
	}
	return c.players[i].write([]byte(request))
}

// Play has every player send its inputs in time and read what comes, for so long. It looks at the sockets once per millisecond
// instead of waiting on them: players on machines of their own would not have the server pay for waking them up either, and on a
// small machine the processor time saved here is the server's.
func (c *Crowd) Play(ctx context.Context, d time.Duration) (Count, error) {
	began := time.Now()
	c.count = Count{}
	c.next = began
	for time.Since(began) < d {
		if err := c.sendDue(); err != nil {
			return c.count, err
		}
		if wait := time.Until(c.next); wait > 0 {
			pause := unix.NsecToTimespec(int64(wait))
			_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &pause, nil) // cut short: the slot is looked at early
		}
		if err := c.hear(ctx, 0); err != nil {
			return c.count, err
		}
	}
	c.count.Elapsed = time.Since(began)
	return c.count, nil
}

// Wait keeps the players in touch with pings, for so long.
func (c *Crowd) Wait(ctx context.Context, d time.Duration) error {
	ping := appendFrame(nil, pingMessage)
	for end := time.Now().Add(d); time.Now().Before(end); {
		for i := range c.players {
			if err := c.players[i].write(ping); err != nil {
				return fmt.Errorf("player %d: %w", i, err)
			}
			if i%entering == 0 {
				if err := c.hear(ctx, 0); err != nil {
					return err
				}
			}
		}
		for next := time.Now().Add(idlePing); time.Now().Before(next) && time.Now().Before(end); {
			if err := c.hear(ctx, 20); err != nil {
				return err
			}
		}
	}
	return nil
}

// sendDue sends the inputs of every slot whose time has come.
func (c *Crowd) sendDue() error {
	for {
		late := time.Since(c.next)
		if late < 0 {
			return nil
		}
		c.count.Late = max(c.count.Late, late)
		for _, i := range c.wheel[c.slot] {
			p := &c.players[i]
			p.number++
			c.frame.put(p.number, p.tick, uint32(c.rand.Uint64()))
			if err := p.write(c.frame[:]); err != nil {
				return fmt.Errorf("player %d: %w", i, err)
			}
			c.count.Inputs++
		}
		c.slot = (c.slot + 1) % len(c.wheel)
		c.next = c.next.Add(time.Millisecond)
	}
}

// hear reads what has come, waiting at most so many milliseconds for the first of it.
func (c *Crowd) hear(ctx context.Context, waitMs int) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	n, err := unix.EpollWait(c.epoll, c.events, waitMs)
	if err != nil && !errors.Is(err, unix.EINTR) {
		return os.NewSyscallError("epoll_wait", err)
	}
	for _, e := range c.events[:max(n, 0)] {
		p := &c.players[e.Fd]
		n, err := unix.Read(p.fd, c.room[:])
		switch {
		case errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			return fmt.Errorf("player %d: %w", e.Fd, os.NewSyscallError("read", err))
		case n == 0:
			return fmt.Errorf("player %d: the server closed the connection", e.Fd)
		}
		if err := c.take(int(e.Fd), c.room[:n]); err != nil {
			return fmt.Errorf("player %d: %w", e.Fd, err)
		}
	}
	return nil
}

// Leave closes every socket.
func (c *Crowd) Leave() error {
	errs := []error{os.NewSyscallError("close", unix.Close(c.epoll))}
	for _, p := range c.players {
		errs = append(errs, os.NewSyscallError("close", unix.Close(p.fd)))
	}
	c.players = nil
	return errors.Join(errs...)
}

// errFull means that a server does not read, or reads far too late.
var errFull = errors.New("the server does not take what it is sent")

func (p *player) write(b []byte) error {
	n, err := unix.Write(p.fd, b)
	if err == nil && n < len(b) || errors.Is(err, unix.EAGAIN) {
		return errFull
	}
	return os.NewSyscallError("write", err)
}
