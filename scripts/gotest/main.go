// Command gotest runs "go test -json" with its arguments, prints what failed and a line per package, and names every test that was
// skipped. Under CI (environment CI=true) a skip is a failure: what was not run has proved nothing. Tests whose names begin with one of
// the prefixes of -may-skip are left alone.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// event is one line of go test -json.
type event struct{ Action, Package, Test, Output string }

func main() {
	mayItSkip := flag.String("may-skip", "", "comma-separated prefixes of tests that may be skipped")
	flag.Parse()
	cmd := exec.Command("go", append([]string{"test", "-json"}, flag.Args()...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gotest:", err)
		os.Exit(1)
	}
	skipped := read(stdout, os.Stdout, strings.Split(*mayItSkip, ","))
	err = cmd.Wait()
	for _, name := range skipped {
		fmt.Println("SKIPPED", name)
	}
	if err != nil || len(skipped) > 0 && os.Getenv("CI") == "true" {
		fmt.Println("FAIL")
		os.Exit(1)
	}
}

// read prints the output of packages and of failed tests, and gives the tests that were skipped and may not be.
func read(from io.Reader, to io.Writer, maySkip []string) (skipped []string) {
	held := map[string]*strings.Builder{} // output of tests that may fail yet
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(to, lines.Text()) // of the build
			continue
		}
		name := e.Package + " " + e.Test
		switch {
		case e.Action == "build-output":
			io.WriteString(to, e.Output)
		case e.Action == "output" && e.Test == "":
			if e.Output != "PASS\n" {
				io.WriteString(to, e.Output)
			}
		case e.Action == "output":
			if held[name] == nil {
				held[name] = &strings.Builder{}
			}
			held[name].WriteString(e.Output)
		case e.Action == "fail" && held[name] != nil:
			io.WriteString(to, held[name].String())
		case e.Action == "skip" && e.Test != "" && !hasPrefix(e.Test, maySkip):
			skipped = append(skipped, name)
		}
		if e.Action == "pass" || e.Action == "fail" || e.Action == "skip" {
			delete(held, name)
		}
	}
	return skipped
}

func hasPrefix(name string, prefixes []string) bool {
	for _, p := range prefixes {
		if p != "" && strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}
