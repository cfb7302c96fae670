package statefile

import (
	"os"
	"path/filepath"
	"testing"
)

type state struct{ Words []string }

func TestWhatIsWrittenIsRead(t *testing.T) {
	// Without it, an orderly restart forgets.
	path := filepath.Join(t.TempDir(), "state")
	var got state
	if found, err := Read(path, &got); found || err != nil {
		t.Fatalf("a file that is not there: %v, %v", found, err)
	}
	for _, word := range []string{"first", "second"} {
		if err := Write(path, &state{[]string{word}}); err != nil {
			t.Fatal(err)
		}
		if found, err := Read(path, &got); !found || err != nil || got.Words[0] != word {
			t.Fatalf("read %+v, %v, %v; want %s", got, found, err, word)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: others may read it", info.Mode(), err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDamagedFileIsAnErrorAndStays(t *testing.T) {
	// Without it, damage looks like a fresh start and is overwritten.
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, []byte("not msgpack"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got state
	if found, err := Read(path, &got); !found || err == nil {
		t.Fatalf("read %v, %v", found, err)
	}
}

func TestFailedWriteLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	if err := Write(filepath.Join(dir, "missing", "state"), &state{}); err == nil {
		t.Error("a write into no folder went well")
	}
}
