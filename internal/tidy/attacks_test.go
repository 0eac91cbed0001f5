package tidy

import (
	"flag"
	"fmt"
	"go/ast"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write "+attackFile+" anew")

const attackFile = "docs/attack-rows.md"

// attacks are what the tests must show to fail. A test covers a row when its name, or its subtest's, begins with the
// row's id.
var attacks = map[string]string{
	"A01":  "message without a signature",
	"A02":  "signature empty, repeated, cut, not base64",
	"A03":  "the platform's own signature probes",
	"A04":  "weaker algorithm named by the message",
	"A05":  "secret empty, short or published",
	"A06":  "host and debug headers that ask for trust",
	"A07":  "fields re-split under the same signature",
	"A08":  "duplicate or padded parameters",
	"A09":  "field present and empty",
	"A10":  "flood of unknown key serials",
	"A11":  "the wrong certificate or key, or one that has expired",
	"A12":  "platform answer without a signature",
	"A13":  "v2's refund notice, which has none",
	"A14":  "sealed resource with a wrong nonce, tag, label or algorithm",
	"A15":  "message of one kind in the place of another",
	"A16":  "signature compared loosely",
	"A17":  "spoofed source address",
	"A18":  "simulator's signature in live mode",
	"A20":  "genuine notice of another order",
	"A21":  "another amount",
	"A22":  "another currency, or none",
	"A23":  "another app id, merchant number or seller",
	"A24":  "order of one account paid through another's notify path",
	"A25":  "one order number in two accounts",
	"A26":  "one transaction for two orders",
	"A27":  "signed notice that is no payment",
	"A28":  "one order paid on both platforms",
	"A29":  "amounts in strange notations",
	"A30":  "amount chosen in the browser",
	"A31":  "forged way back",
	"A32":  "notice for an unknown order",
	"A35":  "one notice a hundred times at once",
	"A36":  "signature time too old, too new, missing",
	"A37":  "honest notice a day late",
	"A38":  "messages out of order",
	"A39":  "own clock wrong by minutes",
	"A40":  "keys that change: old and new together, then the new one",
	"A45":  "XML that reads files",
	"A46":  "XML that grows",
	"A47":  "XML with a document type",
	"A48":  "XML field twice",
	"A49":  "XML that two parsers read differently",
	"A50":  "XML in another character set",
	"A51":  "JSON that two parsers read differently",
	"A52":  "form that two parsers read differently",
	"A53":  "plus, space and percent signs in forms",
	"A54":  "form in another character set",
	"A55":  "huge or slow body",
	"A56":  "compressed body",
	"A57":  "packed answers (archives come with the bills)",
	"A58":  "formulas in exported text",
	"A59":  "signature header twice or with odd bytes",
	"A65":  "notice, query, close and expiry at once",
	"A66":  "close after the payer paid",
	"A67":  "paid after it was closed here",
	"A68":  "expired here while payable there",
	"A69":  "refunds at once, or more than there is",
	"A70":  "refund sent again under a new number",
	"A71":  "refund answered with success that moved no money",
	"A72":  "refunds beyond the platform's limits",
	"A74":  "platform timeout after the effect",
	"A87":  "way back to a foreign origin",
	"A88":  "proxy or search domain that leads elsewhere",
	"A90":  "markup in texts",
	"A91":  "forms sent from another site",
	"A92":  "payer's page in a frame",
	"A95":  "guessed ids, another shop's ids",
	"A96":  "flood of polls",
	"A97":  "poisoned host header",
	"A98":  "page address leaking by referrer or cache",
	"A99":  "path traversal in assets",
	"A100": "secrets in output",
	"A101": "hidden files over HTTP",
	"A102": "keys that everybody knows",
	"A103": "log lines forged by input",
}

// later are rows whose code does not exist yet, with what brings it.
var later = map[string]string{
	"A94": "flood of logins: comes with the console",
}

var (
	leadingRows = regexp.MustCompile(`^(?:A\d{2,3}[ ,/+]+)+`)
	rowID       = regexp.MustCompile(`A\d{2,3}`)
	rowInFunc   = regexp.MustCompile(`(?:^Test|_)(A\d{2,3})(?:\D|$)`)
)

// covering returns the names of tests by row. Suites that drivers run and whole-system tests count as test code.
func covering(tr tree) map[string][]string {
	found := map[string][]string{}
	add := func(f file, row, name string) {
		found[row] = append(found[row], strings.TrimPrefix(f.room(), "internal/")+": "+name)
	}
	for _, f := range tr {
		if !f.isGo() || f.in("internal/tidy") || !f.testCode() {
			continue
		}
		for n := range nodes(f) {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if m := rowInFunc.FindStringSubmatch(n.Name.Name); m != nil && strings.HasPrefix(n.Name.Name, "Test") {
					add(f, m[1], n.Name.Name)
				}
			case *ast.BasicLit:
				if n.Kind != token.STRING {
					continue
				}
				name, _ := strconv.Unquote(n.Value) // the parser took it, so it is a string
				for _, row := range rowID.FindAllString(leadingRows.FindString(name), -1) {
					add(f, row, name)
				}
			}
		}
	}
	for row, names := range found {
		slices.Sort(names)
		found[row] = slices.Compact(names)
	}
	return found
}

func uncovered(found map[string][]string) []string {
	var missing []string
	for row, attack := range attacks {
		if len(found[row]) == 0 {
			missing = append(missing, row+": no test ("+attack+")")
		}
	}
	for row := range later {
		if len(found[row]) > 0 {
			missing = append(missing, row+" has a test now: move it from later to attacks")
		}
	}
	slices.Sort(missing)
	return missing
}

func attackTable(found map[string][]string) string {
	var b strings.Builder
	b.WriteString("# Which test stands for which attack\n\n" +
		"Written by `go test ./internal/tidy -run AttackRows -update`; a test fails while it is out of date.\n\n" +
		"| Row | Attack | Tests |\n|---|---|---|\n")
	byNumber := func(a, b string) int {
		x, _ := strconv.Atoi(a[1:])
		y, _ := strconv.Atoi(b[1:])
		return x - y
	}
	for _, row := range slices.SortedFunc(maps.Keys(attacks), byNumber) {
		names := strings.ReplaceAll(strings.Join(found[row], "; "), "|", `\|`)
		fmt.Fprintf(&b, "| %s | %s | %s |\n", row, attacks[row], names)
	}
	b.WriteString("\nNot yet:\n\n")
	for _, row := range slices.SortedFunc(maps.Keys(later), byNumber) {
		fmt.Fprintf(&b, "- %s, %s\n", row, later[row])
	}
	return b.String()
}

func TestAttackRows(t *testing.T) {
	t.Parallel()
	tr := load(t)
	found := covering(tr)
	for _, finding := range uncovered(found) {
		t.Error(finding)
	}
	table := attackTable(found)
	if *update {
		if err := os.WriteFile(filepath.Join(root, attackFile), []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if tr.text(t, attackFile) != table {
		t.Errorf("%s is out of date: go test ./internal/tidy -run AttackRows -update", attackFile)
	}
}

func TestAttackNamesAreFound(t *testing.T) {
	t.Parallel()
	found := covering(tree{
		goFile(t, "internal/pay/a_test.go", `package pay

func TestA65Race(t *testing.T)      {}
func TestNotice_A32(t *testing.T)   {}
func TestSHA256(t *testing.T)       {}
func helper_A66(t *testing.T)        {}

var names = []string{"A21 one fen short", "A27, A38 told late", "A22", "see A24 above", "A1000 things"} // A25 no name
`),
		goFile(t, "internal/pay/a.go", "package pay\n\nvar name = \"A26 in code\""),
		goFile(t, "internal/channel/channeltest/a.go", "package channeltest\n\nvar name = \"A29 in the suite\""),
	})
	got := slices.Sorted(maps.Keys(found))
	want := []string{"A21", "A27", "A29", "A32", "A38", "A65"}
	if !slices.Equal(got, want) {
		t.Errorf("rows found are %v, want %v", got, want)
	}
	if name := found["A29"]; !slices.Equal(name, []string{"channel/channeltest: A29 in the suite"}) {
		t.Errorf("A29 is covered by %q", name)
	}
}

func TestUncoveredRowsAreFound(t *testing.T) {
	t.Parallel()
	found := map[string][]string{"A94": {"web/console: A94 flood"}}
	for row := range attacks {
		found[row] = []string{"somewhere"}
	}
	delete(found, "A21")
	want := []string{"A21: no test (another amount)", "A94 has a test now: move it from later to attacks"}
	if got := uncovered(found); !slices.Equal(got, want) {
		t.Errorf("findings are %q, want %q", got, want)
	}
}
