package redisconn

import "testing"

// What changed decides whether all rooms write their whole state at once: too seldom loses rooms, too often costs a burst.
func TestOnlyNewMastersMeanLoss(t *testing.T) {
	a, b := identity{"run-a", "repl"}, identity{"run-b", "repl-b"}
	for name, c := range map[string]struct {
		before, now masters
		want        string
	}{
		"the first look":     {nil, masters{"x": a}, ""},
		"the same":           {masters{"x": a}, masters{"x": a}, ""},
		"restarted":          {masters{"x": a}, masters{"x": b}, "x is another process"},
		"promoted":           {masters{"x": a}, masters{"x": {"run-a", "new"}}, "x has a new history"},
		"replaced":           {masters{"x": a, "y": b}, masters{"x": a, "z": b}, "z is a master now"},
		"one gave its share": {masters{"x": a, "y": b}, masters{"x": a}, ""},
	} {
		if got := c.before.changed(c.now); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
