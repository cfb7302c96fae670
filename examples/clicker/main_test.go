package main

import (
	"os"
	"strings"
	"testing"

	"tickover.dev/rooms/roomtest"
)

func TestClicksCount(t *testing.T) {
	r := roomtest.New(t, kind, nil)
	ann := r.Join("ann")
	ann.Play(Click{})
	if got := roomtest.Public[Clicker](r); *got.Clicks.Get(ann.Seat) != 1 {
		t.Fatalf("%+v", got)
	}
}

// The README shows this game and this test whole: they must be what is here.
func TestReadmeShowsThisGame(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for file, from := range map[string]string{"main.go": "package main", "main_test.go": "func TestClicksCount"} {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		code := string(source)
		code = code[strings.Index(code, from):]
		if file == "main_test.go" {
			code = code[:strings.Index(code, "\n}\n")+3]
		}
		if !strings.Contains(string(readme), "```go\n"+code+"```") {
			t.Errorf("the README does not show %s as it is", file)
		}
	}
}
