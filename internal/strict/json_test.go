package strict_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"piaohao/internal/strict"
)

type inner struct {
	Total int64 `json:"total"`
}

type base struct {
	ID string `json:"id"`
}

type message struct {
	base

	State  string            `json:"trade_state"`
	Amount inner             `json:"amount"`
	List   []inner           `json:"list"`
	Note   *string           `json:"note"`
	Tags   map[string]string `json:"tags"`
	Raw    json.RawMessage   `json:"raw"`
	Any    any               `json:"any"`
	Hidden string            `json:"-"`
	Plain  bool
}

func TestDecode(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return `{"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}` }
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`,"n` + strings.Repeat("x", i) + `":0`)
		}
		return "{" + b.String()[1:] + "}"
	}
	tests := []struct {
		name, text string
		want       string // reason of the refusal, "" = accepted
	}{
		{"all fields", `{"id":"1","trade_state":"SUCCESS","amount":{"total":100},"list":[{"total":-3},{"total":0}],"note":"n","tags":{"a":"b"},"raw":[1.5,null],"any":{"x":null},"Plain":true}`, ""},
		{"spaces", " {\t\"trade_state\" :\r\n\"A\" , \"list\" : [ { } , { \"total\" : 1 } ] } ", ""},
		{"empty object", `{}`, ""},
		{"unknown names are skipped", `{"new":{"a":[1e2,null,"x"]},"trade_state":"A"}`, ""},
		{"escapes", `{"trade_state":"\"\\\u4f60\ud83d\ude00","\u0061mount":{"total":1}}`, ""},
		{"same name in two objects", `{"list":[{"total":1},{"total":2}]}`, ""},

		{"A51 duplicate", `{"trade_state":"NOTPAY","trade_state":"SUCCESS"}`, "duplicate name"},
		{"A51 duplicate by escape", `{"trade_state":"NOTPAY","trade_\u0073tate":"SUCCESS"}`, "duplicate name"},
		{"A51 duplicate below", `{"amount":{"total":1,"total":100}}`, "duplicate name"},
		{"A51 duplicate in a list", `{"list":[{"total":1,"total":100}]}`, "duplicate name"},
		{"A51 duplicate inside the unknown", `{"new":{"a":1,"a":2}}`, "duplicate name"},
		{"A51 duplicate unknown", `{"new":1,"new":2}`, "duplicate name"},
		{"A51 duplicate in a map", `{"tags":{"a":"1","a":"2"}}`, "duplicate name"},
		{"A51 duplicate in raw", `{"raw":{"a":1,"a":2}}`, "duplicate name"},
		{"A51 other case", `{"TRADE_STATE":"SUCCESS"}`, "name in another case"},
		{"A51 long s", `{"trade_\u017ftate":"SUCCESS"}`, "name in another case"},
		{"A51 long s as it is", `{"trade_ſtate":"SUCCESS"}`, "name in another case"},
		{"A51 other case below", `{"amount":{"Total":1}}`, "name in another case"},
		{"A51 other case of an embedded field", `{"ID":"1"}`, "name in another case"},
		{"A51 null", `{"trade_state":null}`, "null for a value"},
		{"A51 null for an object", `{"amount":null}`, "null for a value"},
		{"A51 null for a pointer", `{"note":null}`, "null for a value"},
		{"A51 null in a map", `{"tags":{"a":null}}`, "null for a value"},
		{"A51 null in a list", `{"list":[null]}`, "null for a value"},
		{"A51 null for raw", `{"raw":null}`, "null for a value"},
		{"A51 null alone", `null`, "null for a value"},
		{"A51 trailing text", `{} {}`, "text is not JSON"},
		{"A51 trailing letter", `{}x`, "text is not JSON"},
		{"byte order mark", "\uFEFF{}", "text is not JSON"},
		{"empty", ``, "text is not JSON"},
		{"broken UTF-8", "{\"trade_state\":\"\xff\"}", "text is not UTF-8"},
		{"lone high surrogate", `{"trade_state":"\ud83d"}`, "lone surrogate"},
		{"lone low surrogate", `{"trade_state":"\ude00"}`, "lone surrogate"},
		{"high without low", `{"trade_state":"\ud83d\u0041"}`, "lone surrogate"},
		{"lone surrogate in a name", `{"\ud83d":1}`, "lone surrogate"},
		{"A29 exponent", `{"amount":{"total":1e2}}`, "number is not a plain integer"},
		{"A29 fraction", `{"amount":{"total":100.0}}`, "number is not a plain integer"},
		{"A29 negative zero", `{"amount":{"total":-0}}`, "number is not a plain integer"},
		{"A29 leading zero", `{"amount":{"total":01}}`, "text is not JSON"},
		{"A29 plus", `{"amount":{"total":+1}}`, "text is not JSON"},
		{"A29 2^63", `{"amount":{"total":9223372036854775808}}`, "a value has the wrong type or range"},
		{"A29 text", `{"amount":{"total":"100"}}`, "a value has the wrong type or range"},
		{"object for text", `{"trade_state":{}}`, "a value has the wrong type or range"},
		{"list for object", `[]`, "a value has the wrong type or range"},
		{"deepest", deep(strict.MaxJSONDepth), ""},
		{"too deep", deep(strict.MaxJSONDepth + 1), "text nested too deep"},
		{"most names", many(strict.MaxJSONNames), ""},
		{"too many names", many(strict.MaxJSONNames + 1), "too many names in an object"},
		{"longest", `{"new":"` + strings.Repeat("x", strict.MaxJSON-10) + `"}`, ""},
		{"too long", `{"new":"` + strings.Repeat("x", strict.MaxJSON-9) + `"}`, "text too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got, std message
			err := strict.Decode([]byte(tt.text), &got)
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := json.Unmarshal([]byte(tt.text), &std); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(std, got, cmp.AllowUnexported(message{})); diff != "" {
					t.Fatal(diff)
				}
				return
			}
			var refused *strict.JSONError
			if !errors.As(err, &refused) || refused.Reason != tt.want {
				t.Fatalf("error = %v, want %s", err, tt.want)
			}
		})
	}
}

func TestDecodeStrictRefusesUnknownNames(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"new":1}`, `{"amount":{"new":1}}`, `{"list":[{"new":1}]}`, `{"Hidden":"x"}`, `{"-":"x"}`, `{"Trade_state":"x"}`} {
		var got message
		var refused *strict.JSONError
		if err := strict.DecodeStrict([]byte(text), &got); !errors.As(err, &refused) || refused.Reason != "unknown name" {
			t.Errorf("%s: error = %v, want unknown name", text, err)
		}
	}
	var got message
	if err := strict.DecodeStrict([]byte(`{"id":"1","trade_state":"A","tags":{"any":"name"},"raw":{"any":"name"}}`), &got); err != nil {
		t.Error(err)
	}
	var whatever any // a validator may want the text as a tree first
	if err := strict.DecodeStrict([]byte(`{"new":[1,{"x":null}]}`), &whatever); err != nil {
		t.Error(err)
	}
	if err := strict.DecodeStrict([]byte(`{"new":[1,{"x":1,"x":2}]}`), &whatever); err == nil {
		t.Error("a duplicate in a tree is accepted")
	}
}

// What Decode accepts, encoding/json reads the same; and writing it again yields no name twice.
func TestDecodeAgreesWithStandardLibrary(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{
		`{`, `}`, `[`, `]`, `:`, `,`, `"trade_state"`, `"amount"`, `"total"`, `"x"`, `"\u0041"`, `"\ud83d\ude00"`,
		`1`, `-0`, `0`, `1.5`, `1e3`, `true`, `null`, ` `, `{"total":1}`, `"trade_state":"A"`, `"amount":{"total":7}`, `"x":[1,{"y":null}]`,
	})
	rapid.Check(t, func(t *rapid.T) {
		text := "{" + strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "") + "}"
		var got, std message
		if strict.Decode([]byte(text), &got) != nil {
			return
		}
		if err := json.Unmarshal([]byte(text), &std); err != nil {
			t.Fatalf("%s: accepted, but encoding/json says %v", text, err)
		}
		if diff := cmp.Diff(std, got, cmp.AllowUnexported(message{})); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"trade_state":"A","amount":{"total":1},"x":["\u0041\ud83d\ude00",null,-0.5e3]}`))
	f.Add([]byte(`{"trade_ſtate":"A","x":1,"x":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var got message
		if strict.Decode(data, &got) == nil && !json.Valid(data) {
			t.Fatal("accepted what is not JSON")
		}
	})
}
