package rooms

import (
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"

	"github.com/cespare/xxhash/v2"
)

// fingerprint tells by what rules a Replay room was stepped: only where it is the same, a step done again gives the same
// (FAILOVER.md R18). It is over everything that a step depends on beside the state and the events. It is never 0.
func (k *Kind) fingerprint() uint64 {
	h := xxhash.New()
	fmt.Fprintln(h, k.Name, k.Version, k.RateHz, k.Seats, k.Grace, k.Empty, runtime.GOARCH, executable(), arithmetic())
	return h.Sum64() | 1
}

// executable is the hash of the program that is running. Names of revisions would not do: what is built while a game is being
// written has none.
var executable = sync.OnceValue(func() uint64 {
	h := xxhash.New()
	if f, err := openExecutable(); err == nil {
		defer f.Close()
		if _, err := io.Copy(h, f); err == nil {
			return h.Sum64()
		}
	}
	return rand.Uint64() // equal to no other: nobody replays our tails, and we nobody's
})

func openExecutable() (*os.File, error) {
	if runtime.GOOS == "linux" {
		return os.Open("/proc/self/exe") // also when the file has been replaced since
	}
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}

// arithmetic tells processors apart that compute differently with the same program: parts of package math are written in assembly that
// uses fused multiply-add where the processor has it (math/exp_amd64.go).
func arithmetic() (sum uint64) {
	for x := -3.0; x < 3; x += 0.37 {
		for _, y := range [...]float64{math.Exp(x), math.Log(x + 4), math.Hypot(x, 1.1), math.Sin(x), math.Pow(x+4, 1.3)} {
			sum = (sum ^ math.Float64bits(y)) * 1099511628211
		}
	}
	return sum
}
