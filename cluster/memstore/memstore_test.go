package memstore

import (
	"testing"

	"tickover.dev/cluster/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(testing.TB) storetest.Store { return New() })
}
