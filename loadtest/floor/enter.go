package floor

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"tickover.dev/netcode"
)

var pingMessage = &netcode.Ping{Time: 1}

// take handles what one player has received.
//
//	      101              welcome            joined
//	0 ──────────► Connected ──────► Welcomed ──────► Joined      each goes as far as CrowdConfig.Enter
//	            says hello          asks to join      plays
func (c *Crowd) take(i int, b []byte) error {
	p := &c.players[i]
	if len(p.rest) > 0 {
		b = append(p.rest, b...)
	}
	if p.stage == 0 {
		var err error
		if b, err = c.upgraded(p, b); err != nil {
			return err
		}
	}
	for p.stage != 0 {
		opcode, payload, rest, ok := cutFrame(b)
		if !ok {
			break
		}
		if err := c.message(i, opcode, payload); err != nil {
			return err
		}
		b = rest
	}
	p.rest = append(p.rest[:0], b...)
	return nil
}

// upgraded waits for the answer to the request, and gives what is behind it.
func (c *Crowd) upgraded(p *player, b []byte) ([]byte, error) {
	head, rest, ok := bytes.Cut(b, []byte("\r\n\r\n"))
	if !ok {
		return b, nil
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
		return nil, fmt.Errorf("no upgrade: %.80q", head)
	}
	return rest, c.reached(p, Connected, &netcode.Hello{Version: netcode.Version, Run: 1, Token: "ann"})
}

// reached notes a stage, and goes on to the next one, if there is to be one, by saying something.
func (c *Crowd) reached(p *player, s Stage, next netcode.Message) error {
	p.stage = s
	if s == c.config.Enter {
		c.entered++
		p.rest = nil
		return nil
	}
	return p.write(appendFrame(nil, next))
}

// errRefused is a node's answer that something cannot be had. In a measurement nothing is refused.
var errRefused = errors.New("refused")

// message handles one frame: states, nearly always.
func (c *Crowd) message(i int, opcode byte, payload []byte) error {
	p := &c.players[i]
	if tick, ok := tickOf(payload); ok {
		if len(payload) >= c.config.State {
			c.count.States++
			if tick > p.tick {
				c.count.Ticks += uint64(tick - p.tick)
			}
			p.tick = tick
		}
		return nil
	}
	switch t := typeOf(payload); {
	case opcode != 0x2:
		return errors.New(describe(opcode, payload))
	case t == netcode.TypeError || t == netcode.TypeResend:
		return fmt.Errorf("%w: %s", errRefused, describe(opcode, payload))
	case t == netcode.TypeWelcome && p.stage == Connected:
		return c.reached(p, Welcomed, &netcode.Join{
			Request: 1, Mode: netcode.JoinOrCreate, Kind: c.config.Kind, Target: "room-" + strconv.Itoa(i/c.config.PerRoom),
		})
	case t == netcode.TypeJoined && p.stage == Welcomed:
		return errors.Join(p.begin(payload), c.reached(p, Joined, nil))
	}
	return nil
}

// begin takes note of the tick that a player has joined at: its first state is in the same message, and wants to be acknowledged.
func (p *player) begin(payload []byte) error {
	var parser netcode.Parser
	parser.Reset(payload)
	if _, err := parser.Next(); err != nil {
		return err
	}
	var m netcode.Joined
	err := parser.Read(&m)
	p.tick = uint32(m.Tick)
	return err
}
