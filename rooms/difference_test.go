package rooms

import "testing"

type fleet struct {
	Name  string
	Ships Seats[vessel]
	Log   []string
	Flags [3]bool
	Best  Maybe[int]
	Ports Table[string, int]
}

type vessel struct{ X, Y float64 }

// An author who is told no more than that two states differ searches for days.
func TestFirstDifferenceIsNamed(t *testing.T) {
	for want, change := range map[string]func(*fleet){
		"":                                       func(*fleet) {},
		"Ships[3].X: 1.5 != 1.25":                func(f *fleet) { f.Ships.Get(3).X = 1.25 },
		`Name: "a" != "b"`:                       func(f *fleet) { f.Name = "b" },
		"Log: 2 elements != 1":                   func(f *fleet) { f.Log = f.Log[:1] },
		`Log[1]: "two" != "too"`:                 func(f *fleet) { f.Log = []string{"one", "too"} },
		"Flags[2]: false != true":                func(f *fleet) { f.Flags[2] = true },
		"Best: nil != 7":                         func(f *fleet) { f.Best = Some(7) },
		"Ships: 2 rows != 3":                     func(f *fleet) { f.Ships.Put(9, vessel{}) },
		"Ships: row 3 where the other has row 4": func(f *fleet) { f.Ships.Delete(3); f.Ships.Put(4, vessel{}) },
		"Ports.home: -3 != 4":                    func(f *fleet) { f.Ports.Put("home", 4) },
	} {
		build := func() *fleet {
			f := &fleet{Name: "a", Log: []string{"one", "two"}}
			f.Ships.Put(1, vessel{})
			f.Ships.Put(3, vessel{X: 1.5})
			f.Ports.Put("home", -3)
			return f
		}
		a, b := build(), build()
		change(b)
		if got := FirstDifference(Encode(nil, a), Encode(nil, b)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// States come from journals, which may hold anything.
func FuzzFirstDifference(f *testing.F) {
	f.Add(Encode(nil, &fleet{Name: "a"}), Encode(nil, &fleet{Name: "b"}))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if got := FirstDifference(a, b); (got == "") != (string(a) == string(b)) {
			t.Errorf("%x and %x: %q", a, b, got)
		}
	})
}
