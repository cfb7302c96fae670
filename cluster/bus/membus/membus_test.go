package membus_test

import (
	"testing"

	"go.uber.org/goleak"

	"tickover.dev/cluster/bus/bustest"
	"tickover.dev/cluster/bus/membus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBus(t *testing.T) {
	bustest.Run(t, func(testing.TB) bustest.Bus {
		b := membus.New(100)
		return bustest.Bus{Bus: b, Max: 100, Lose: b.Lose}
	})
}
