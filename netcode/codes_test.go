package netcode_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tickover.dev/netcode"
)

// constants gives the values of the constants in codes.go whose names start with prefix.
func constants(t *testing.T, prefix string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && strings.HasPrefix(spec.Names[0].Name, prefix) {
			all = append(all, strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`))
		}
		return true
	})
	return all
}

// TestCodesOfTheDocumentAreTrue: without it a client could wait for a code that no server sends, or meet one that nobody explains.
func TestCodesOfTheDocumentAreTrue(t *testing.T) {
	text := section(t, readProtocol(t), "5. Codes")
	errorTable, closeTable, ok := strings.Cut(text, "Close codes")
	if !ok {
		t.Fatal("no close codes")
	}
	var words, numbers []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|").FindAllStringSubmatch(errorTable, -1) {
		for word := range strings.SplitSeq(row[1], ", ") {
			words = append(words, strings.Trim(word, "`"))
		}
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(closeTable, -1) {
		numbers = append(numbers, row[1])
	}
	if got := constants(t, "Code"); !slices.Equal(got, words) {
		t.Errorf("the document has the codes\n%v, the code\n%v", words, got)
	}
	if got := constants(t, "Close"); !slices.Equal(got, numbers) {
		t.Errorf("the document has the close codes\n%v, the code\n%v", numbers, got)
	}
}

// TestMayReconnectFollowsTheDocument: without it clients would hammer a server that wants them gone, or give up on one that
// restarts.
func TestMayReconnectFollowsTheDocument(t *testing.T) {
	rules := regexp.MustCompile(`Close codes (\d+)–(\d+): reconnect[^.]*\. (\d+)–(\d+): do not\. ` +
		`RFC 6455: reconnect after ([^;]+); not after ([^.]+)\.`).FindStringSubmatch(section(t, readProtocol(t), "5. Codes"))
	if rules == nil {
		t.Fatal("the document does not say when to reconnect, or not in the words that this test knows")
	}
	want := map[uint16]bool{}
	for list, reconnect := range map[string]bool{
		rules[1] + "–" + rules[2]: true, rules[3] + "–" + rules[4]: false, rules[5]: true, rules[6]: false,
	} {
		for part := range strings.SplitSeq(list, ", ") {
			first, last, isRange := strings.Cut(part, "–")
			if !isRange {
				last = first
			}
			for code := number(t, first); code <= number(t, last); code++ {
				want[code] = reconnect
			}
		}
	}
	if len(want) != 1000+6+7 {
		t.Errorf("the document speaks of %d codes", len(want))
	}
	for code, reconnect := range want {
		if netcode.MayReconnect(code) != reconnect {
			t.Errorf("%d: got %v", code, !reconnect)
		}
	}
	// What the document leaves open: no status (1005), a TLS failure (1015), codes of libraries and proxies. A lost connection is
	// the likeliest cause of each.
	for _, code := range []uint16{0, 999, 1004, 1005, 1015, 2999, 3000, 3999, 5000, 65535} {
		if !netcode.MayReconnect(code) {
			t.Errorf("%d: does not reconnect", code)
		}
	}
}

// TestCloseCodesLieInTheirRanges: without it a code could say the opposite of its range to every client that goes by ranges.
func TestCloseCodesLieInTheirRanges(t *testing.T) {
	final := []uint16{
		netcode.CloseUnauthorized, netcode.CloseVersion, netcode.CloseViolation, netcode.CloseSuperseded, netcode.CloseBadSecret,
	}
	for _, digits := range constants(t, "Close") {
		code := number(t, digits)
		if got, want := netcode.MayReconnect(code), !slices.Contains(final, code); got != want {
			t.Errorf("%d: reconnect is %v, want %v", code, got, want)
		}
	}
}

// TestVersionIsTheDocuments: without it the handshake could ask for another protocol than the one that is written down.
func TestVersionIsTheDocuments(t *testing.T) {
	document := readProtocol(t)
	for _, words := range []string{
		fmt.Sprintf("# The tickover protocol, version %d\n", netcode.Version),
		fmt.Sprintf("subprotocol **`%s`**", netcode.Subprotocol),
		fmt.Sprintf("hello | version uint (%d)", netcode.Version),
		fmt.Sprintf("nesting of the whole is at most %d,", netcode.MaxDepth),
		fmt.Sprintf("A `str` is at most %d bytes", netcode.MaxNameBytes),
		fmt.Sprintf("`rooms` holds at most %d rooms", netcode.MaxHeldRooms),
	} {
		if !strings.Contains(document, words) {
			t.Errorf("the document does not say %q", words)
		}
	}
}

func number(t *testing.T, digits string) uint16 {
	t.Helper()
	n, err := strconv.ParseUint(digits, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return uint16(n)
}
