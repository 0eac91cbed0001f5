package strict_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"piaohao/internal/strict"
)

func TestParseXML(t *testing.T) {
	t.Parallel()
	fields := func(n int) string {
		var b strings.Builder
		for i := range n {
			name := "f" + strings.Repeat("x", i%60) + strings.Repeat("y", i/60)
			b.WriteString("<" + name + ">1</" + name + ">")
		}
		return "<xml>" + b.String() + "</xml>"
	}
	for _, tt := range []struct {
		name, text string
		want       strict.Form
	}{
		{"text", "<xml><a>1</a></xml>", strict.Form{{"a", "1"}}},
		{"CDATA", "<xml><a><![CDATA[1 < 2 & 3 ]] >]]></a></xml>", strict.Form{{"a", "1 < 2 & 3 ]] >"}}},
		{"as the platform prints it", "<xml><appid><![CDATA[wx1]]></appid>\n<total_fee>1</total_fee>\n</xml>", strict.Form{{"appid", "wx1"}, {"total_fee", "1"}}},
		{"spaces around", " \r\n\t<xml> <a>1</a>\r\n</xml>\n", strict.Form{{"a", "1"}}},
		{"spaces inside stay", "<xml><a> 1\n</a></xml>", strict.Form{{"a", " 1\n"}}},
		{"empty three ways", "<xml><a></a><b/><c><![CDATA[]]></c></xml>", strict.Form{{"a", ""}, {"b", ""}, {"c", ""}}},
		{"no elements", "<xml></xml>", strict.Form{}},
		{"Chinese and beyond", "<xml><a>支付😀</a></xml>", strict.Form{{"a", "支付😀"}}},
		{"predefined entities", "<xml><a>&lt;&gt;&amp;&quot;&apos;</a></xml>", strict.Form{{"a", `<>&"'`}}},
		{"numeric entities", "<xml><a>&#65;&#x4f60;&#x1F600;&#9;</a></xml>", strict.Form{{"a", "A你😀\t"}}},
		{"entities inside CDATA stay", "<xml><a><![CDATA[&lt;]]></a></xml>", strict.Form{{"a", "&lt;"}}},
		{"decoded once", "<xml><a>&amp;lt;</a></xml>", strict.Form{{"a", "&lt;"}}},
		{"names in another case are others", "<xml><a>1</a><A>2</A></xml>", strict.Form{{"a", "1"}, {"A", "2"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := strict.ParseXML([]byte(tt.text), "xml")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
	if got, err := strict.ParseXML([]byte(fields(strict.MaxFields)), "xml"); err != nil || len(got) != strict.MaxFields {
		t.Errorf("as many elements as allowed: %d, %v", len(got), err)
	}
	if _, err := strict.ParseXML([]byte(fields(strict.MaxFields+1)), "xml"); !errors.Is(err, strict.ErrXMLFields) {
		t.Errorf("A49 one element too many: %v", err)
	}
	if got, err := strict.ParseXML([]byte("<root><a>1</a></root>"), "root"); err != nil || got.Get("a") != "1" {
		t.Errorf("another root: %v, %v", got, err)
	}
}

func TestParseXMLRefuses(t *testing.T) {
	t.Parallel()
	lol := `<!DOCTYPE xml [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>`
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"A45 outside entity", `<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml><a>&x;</a></xml>`, strict.ErrXMLMarkup},
		{"A45 entity without a declaration", `<xml><a>&x;</a></xml>`, strict.ErrXMLEntity},
		{"A45 entity inside the root", `<xml><!ENTITY x SYSTEM "file:///etc/passwd"><a>1</a></xml>`, strict.ErrXMLMarkup},
		{"A46 billion laughs", lol + `<xml><a>&b;</a></xml>`, strict.ErrXMLMarkup},
		{"A46 entity of nothing but its name", `<xml><a>&b;</a></xml>`, strict.ErrXMLEntity},
		{"A46 parameter entity", `<!DOCTYPE xml [<!ENTITY % p SYSTEM "http://h/x">%p;]><xml/>`, strict.ErrXMLMarkup},
		{"A46 larger than 64 KiB", `<xml><a>` + strings.Repeat("x", strict.MaxXML) + `</a></xml>`, strict.ErrXMLSize},
		{"A47 DOCTYPE that nobody uses", `<!DOCTYPE xml><xml><a>1</a></xml>`, strict.ErrXMLMarkup},
		{"A47 DOCTYPE in small letters", `<!doctype xml><xml><a>1</a></xml>`, strict.ErrXMLMarkup},
		{"A47 DOCTYPE inside", `<xml><!DOCTYPE xml><a>1</a></xml>`, strict.ErrXMLMarkup},
		{"A47 DOCTYPE behind", `<xml><a>1</a></xml><!DOCTYPE xml>`, strict.ErrXMLRoot},
		{"A48 element twice", `<xml><total_fee>1</total_fee><total_fee>100</total_fee></xml>`, strict.ErrXMLDuplicate},
		{"A48 twice with the same value", `<xml><a>1</a><a>1</a></xml>`, strict.ErrXMLDuplicate},
		{"A48 twice, once empty", `<xml><a>1</a><b>2</b><a/></xml>`, strict.ErrXMLDuplicate},
		{"A49 comment inside of a value", `<xml><a>1<!-- -->00</a></xml>`, strict.ErrXMLMarkup},
		{"A49 comment between elements", `<xml><!-- --><a>1</a></xml>`, strict.ErrXMLMarkup},
		{"A49 comment before the root", `<!-- --><xml><a>1</a></xml>`, strict.ErrXMLMarkup},
		{"A49 comment behind the root", `<xml><a>1</a></xml><!-- -->`, strict.ErrXMLRoot},
		{"A49 element inside of a value", `<xml><a>1<b>00</b></a></xml>`, strict.ErrXMLMarkup},
		{"A49 element for a value", `<xml><a><b>1</b></a></xml>`, strict.ErrXMLMarkup},
		{"A49 CDATA behind text", `<xml><a>1<![CDATA[00]]></a></xml>`, strict.ErrXMLMarkup},
		{"A49 text behind CDATA", `<xml><a><![CDATA[1]]>00</a></xml>`, strict.ErrXMLMarkup},
		{"A49 two CDATA sections", `<xml><a><![CDATA[1]]><![CDATA[00]]></a></xml>`, strict.ErrXMLMarkup},
		{"A49 CDATA between elements", `<xml><![CDATA[1]]><a>1</a></xml>`, strict.ErrXMLMarkup},
		{"A49 second root", `<xml><a>1</a></xml><xml><a>2</a></xml>`, strict.ErrXMLRoot},
		{"A49 text behind the root", `<xml><a>1</a></xml>x`, strict.ErrXMLRoot},
		{"A49 another root", `<root><a>1</a></root>`, strict.ErrXMLRoot},
		{"A49 root in capitals", `<XML><a>1</a></XML>`, strict.ErrXMLRoot},
		{"A49 root with an attribute", `<xml a="1"><a>1</a></xml>`, strict.ErrXMLRoot},
		{"A49 root that is empty", `<xml/>`, strict.ErrXMLRoot},
		{"A49 attribute", `<xml><a b="1">1</a></xml>`, strict.ErrXMLMarkup},
		{"A49 space in a tag", `<xml><a >1</a></xml>`, strict.ErrXMLMarkup},
		{"A49 namespace", `<xml xmlns="urn:x"><a>1</a></xml>`, strict.ErrXMLRoot},
		{"A49 prefix", `<xml><x:a>1</x:a></xml>`, strict.ErrXMLMarkup},
		{"A49 processing instruction", `<xml><?x y?><a>1</a></xml>`, strict.ErrXMLMarkup},
		{"A49 declaration: the platform sends none", `<?xml version="1.0" encoding="UTF-8"?><xml><a>1</a></xml>`, strict.ErrXMLMarkup},
		{"A49 text between elements", `<xml>1<a>1</a></xml>`, strict.ErrXMLTag},
		{"A49 name of 65 bytes", `<xml><` + strings.Repeat("a", 65) + `>1</` + strings.Repeat("a", 65) + `></xml>`, strict.ErrXMLName},
		{"A49 name with a digit first", `<xml><1a>1</1a></xml>`, strict.ErrXMLName},
		{"A49 name outside of ASCII", `<xml><名>1</名></xml>`, strict.ErrXMLName},
		{"A49 200,000 levels", strings.Repeat("<xml>", 200_000), strict.ErrXMLSize},
		{"A49 as many levels as fit", strings.Repeat("<xml>", 13_000), strict.ErrXMLMarkup},
		{"A50 another encoding named", `<?xml version="1.0" encoding="GBK"?><xml><a>1</a></xml>`, strict.ErrXMLMarkup},
		{"A50 GBK", "<xml><a>\xd6\xa7\xb8\xb6</a></xml>", strict.ErrXMLText},
		{"A50 byte order mark", "\xef\xbb\xbf<xml><a>1</a></xml>", strict.ErrXMLRoot},
		{"A50 UTF-16", "\xff\xfe<\x00x\x00m\x00l\x00>\x00", strict.ErrXMLText},
		{"A50 UTF-16 without a mark", "<\x00x\x00m\x00l\x00>\x00", strict.ErrXMLRoot},
		{"A50 overlong UTF-8", "<xml><a>\xc0\xbc</a></xml>", strict.ErrXMLText},
		{"A50 half of a surrogate pair", "<xml><a>\xed\xa0\xbd</a></xml>", strict.ErrXMLText},
		{"A50 half of a surrogate pair as an entity", "<xml><a>&#xD83D;</a></xml>", strict.ErrXMLEntity},
		{"A50 NUL", "<xml><a>1\x00</a></xml>", strict.ErrXMLText},
		{"A50 NUL in CDATA", "<xml><a><![CDATA[1\x00]]></a></xml>", strict.ErrXMLText},
		{"A50 NUL as an entity", "<xml><a>1&#0;</a></xml>", strict.ErrXMLText},
		{"A50 control character", "<xml><a>1\x1f</a></xml>", strict.ErrXMLText},
		{"A50 U+FFFE", "<xml><a>\uFFFE</a></xml>", strict.ErrXMLText},
		{"A50 U+FFFF as an entity", "<xml><a>&#xFFFF;</a></xml>", strict.ErrXMLText},
		{"A50 carriage return, which readers replace", "<xml><a>1\r\n2</a></xml>", strict.ErrXMLText},
		{"entity beyond Unicode", "<xml><a>&#x110000;</a></xml>", strict.ErrXMLEntity},
		{"entity without an end", "<xml><a>&amp</a></xml>", strict.ErrXMLEntity},
		{"entity without a name", "<xml><a>&;</a></xml>", strict.ErrXMLEntity},
		{"entity without digits", "<xml><a>&#;</a></xml>", strict.ErrXMLEntity},
		{"entity with a sign", "<xml><a>&#+65;</a></xml>", strict.ErrXMLEntity},
		{"entity with a large X", "<xml><a>&#X41;</a></xml>", strict.ErrXMLEntity},
		{"end of CDATA in text", "<xml><a>1]]></a></xml>", strict.ErrXMLTag},
		{"wrong end tag", "<xml><a>1</b></xml>", strict.ErrXMLTag},
		{"wrong end of the root", "<xml><a>1</a></root>", strict.ErrXMLTag},
		{"CDATA without an end", "<xml><a><![CDATA[1</a></xml>", strict.ErrXMLTag},
		{"cut off in a tag", "<xml><a", strict.ErrXMLTag},
		{"cut off in a value", "<xml><a>1", strict.ErrXMLTag},
		{"cut off before the end", "<xml><a>1</a>", strict.ErrXMLTag},
		{"empty", "", strict.ErrXMLRoot},
		{"not XML", "out_trade_no=1", strict.ErrXMLRoot},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := strict.ParseXML([]byte(tt.text), "xml")
			if !errors.Is(err, tt.want) || got != nil {
				t.Fatalf("%v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

// A46: what comes out is never more than went in, so that the limit of size bounds memory and time.
func TestA46NothingGrows(t *testing.T) {
	t.Parallel()
	for name, unit := range map[string]string{"entities": "&lt;", "short numbers": "&#9;", "long numbers": "&#x10FFFF;"} {
		text := "<xml><a>" + strings.Repeat(unit, (strict.MaxXML-30)/len(unit)) + "</a></xml>"
		got, err := strict.ParseXML([]byte(text), "xml")
		if err != nil || len(got.Get("a")) > len(text) {
			t.Errorf("A46 %s: %d bytes of %d, %v", name, len(got.Get("a")), len(text), err)
		}
	}
}

// standardXML reads a flat message by encoding/xml, whose errors and looseness are not ours.
func standardXML(t interface{ Fatalf(string, ...any) }, text []byte) (root string, form strict.Form) {
	d := xml.NewDecoder(bytes.NewReader(text))
	form = strict.Form{}
	depth := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return root, form
		}
		if err != nil {
			t.Fatalf("%q: accepted, but encoding/xml says %v", text, err)
		}
		switch v := token.(type) {
		case xml.StartElement:
			depth++
			if len(v.Attr) > 0 || v.Name.Space != "" || depth > 2 {
				t.Fatalf("%q: accepted with an attribute, a namespace or nesting", text)
			}
			if depth == 1 {
				root += v.Name.Local
			} else {
				form = append(form, strict.Pair{Name: v.Name.Local})
			}
		case xml.EndElement:
			depth--
		case xml.CharData:
			switch {
			case depth == 2:
				form[len(form)-1].Value += string(v)
			case len(bytes.Trim(v, " \t\r\n")) > 0:
				t.Fatalf("%q: accepted with text beside the elements", text)
			}
		default:
			t.Fatalf("%q: accepted with %T", text, token)
		}
	}
}

// agree: what ParseXML accepts, encoding/xml reads as the same root, names and values, and no name occurs twice.
func agree(t interface{ Fatalf(string, ...any) }, text []byte) {
	got, err := strict.ParseXML(text, "xml")
	if err != nil {
		return
	}
	root, want := standardXML(t, text)
	if diff := cmp.Diff(want, got); root != "xml" || diff != "" {
		t.Fatalf("%q: root %q, %s", text, root, diff)
	}
	seen, size := map[string]bool{}, 0
	for _, field := range got {
		if seen[field.Name] {
			t.Fatalf("%q: %s occurs twice", text, field.Name)
		}
		seen[field.Name] = true
		size += len(field.Name) + len(field.Value)
	}
	if size > len(text) {
		t.Fatalf("%q: %d bytes out of %d", text, size, len(text))
	}
}

func TestParseXMLAgreesWithStandardLibrary(t *testing.T) {
	t.Parallel()
	piece := rapid.SampledFrom([]string{
		"<a>", "</a>", "<b>", "</b>", "<a/>", "<a>1</a>", "<b>2</b>", "<c><![CDATA[3]]></c>", "<![CDATA[", "]]>", "1", " ", "\n", "\r",
		"&lt;", "&#65;", "&#xD800;", "&x;", "&", ";", "<!-- -->", "<!DOCTYPE x>", "<?x?>", "\x00", "\uFFFE", "\uFEFF", "支", "\xff",
		"<xml>", "</xml>", "<x:a>", "<a b='1'>", "]", ">", "<", "é",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(piece, 0, 14).Draw(t, "pieces"), "")
		if rapid.Bool().Draw(t, "in a root") {
			text = "<xml>" + text + "</xml>"
		}
		agree(t, []byte(text))
	})
}

func FuzzParseXML(f *testing.F) {
	f.Add([]byte("<xml><appid><![CDATA[wx1]]></appid>\n<total_fee>1</total_fee>\n</xml>"))
	f.Add([]byte("<xml><a>&lt;&#65;&#x1F600;</a><b/><c></c></xml>"))
	f.Add([]byte("<!DOCTYPE xml [<!ENTITY x 'y'>]><xml><a>&x;</a></xml>"))
	f.Add([]byte("<xml><a>1<!-- -->00</a></xml>"))
	f.Add([]byte("<xml><a>\r\n]]\uFFFE</a></xml> "))
	f.Fuzz(func(t *testing.T, data []byte) { agree(t, data) })
}

func BenchmarkParseXML(b *testing.B) {
	text := []byte("<xml><appid><![CDATA[wx2421b1c4370ec43b]]></appid>\n<bank_type><![CDATA[CFT]]></bank_type>\n<cash_fee><![CDATA[888]]></cash_fee>\n" +
		"<fee_type><![CDATA[CNY]]></fee_type>\n<is_subscribe><![CDATA[Y]]></is_subscribe>\n<mch_id><![CDATA[10000100]]></mch_id>\n" +
		"<nonce_str><![CDATA[5d2b6c2a8db53831f7eda20af46e531c]]></nonce_str>\n<openid><![CDATA[oUpF8uMEb4qRXf22hE3X68TekukE]]></openid>\n" +
		"<out_trade_no><![CDATA[1409811653]]></out_trade_no>\n<total_fee>888</total_fee>\n</xml>")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := strict.ParseXML(text, "xml"); err != nil {
			b.Fatal(err)
		}
	}
}
