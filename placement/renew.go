package placement

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tickover.dev/rooms"
	"tickover.dev/rooms/host"
)

// renewAgain is between two questions to a store that does not answer.
const renewAgain = 100 * time.Millisecond

// Renew is for host.Config: the store has lost the journal of a room of this node. A room that has ended stays so; any other is entered
// into the directory again, if no other node has it (docs/failover/RULES.md, R19). Also one that was forestalled: whoever did that knew
// of its record and no journal, and took this node for dead.
func (r *Rooms) Renew(ctx context.Context, h *host.Handle, was rooms.Epoch) (rooms.Epoch, string, error) {
	r.Hub.Resave()
	for {
		end, err := r.Tombs.Tomb(ctx, h.ID)
		if errors.Is(err, rooms.ErrGone) {
			break
		}
		if err == nil {
			if t, err := host.ReadTomb(end); err != nil || t.Why != host.WhyUnborn {
				return 0, "", rooms.ErrGone
			}
			break
		}
		select {
		case <-ctx.Done():
			return 0, "", fmt.Errorf("renew room %s: %w", h.ID, context.Cause(ctx))
		case <-time.After(renewAgain):
		}
	}
	at := r.Local.record(h)
	at.Epoch = was
	now, err := r.Cluster.Renew(ctx, at)
	return now.Epoch, now.Key, err
}
