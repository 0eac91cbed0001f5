package wechatv2

import (
	"bytes"
	"crypto/aes"
	"encoding/base64"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"piaohao/internal/channel"
	"piaohao/internal/strict"
	facts "piaohao/spec/wechat"
)

// FuzzAnswer: an answer counts only with the signature of all that it says.
func FuzzAnswer(f *testing.F) {
	for _, variant := range variants {
		f.Add([]byte(xmlOf("xml", signed(variant, facts.V2Paid))))
	}
	f.Add([]byte("<xml><return_code>SUCCESS</return_code><sign>x</sign></xml>"))
	f.Add([]byte("<xml><return_code>FAIL</return_code><return_msg>\u202e</return_msg></xml>"))
	c := build(f, nil)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, variant := range variants {
			fields, err := c.proven("query", variant, body)
			if err != nil {
				if kind, code := kindOf(err); kind != channel.Unknown || code == "" || fields != nil {
					t.Fatalf("%v beside %v", err, fields)
				}
				continue
			}
			var told []facts.Field
			for _, p := range fields {
				told = append(told, facts.Field(p))
			}
			if fields.Get("sign") != signature(testKey, variant, told) || fields.Get("return_code") != "SUCCESS" {
				t.Fatalf("believed: %q", body)
			}
		}
	})
}

// FuzzReqInfo: what opens, and nothing else, seals to the same bytes again.
func FuzzReqInfo(f *testing.F) {
	f.Add(sealed(testKey, "<root></root>"))
	f.Add(base64.StdEncoding.EncodeToString(make([]byte, aes.BlockSize)))
	f.Add("====")
	f.Add("")
	c := build(f, nil)
	f.Fuzz(func(t *testing.T, text string) {
		plain, err := c.open(text)
		if err != nil {
			return
		}
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		again, err := base64.StdEncoding.DecodeString(sealed(testKey, string(plain)))
		if err != nil || !bytes.Equal(raw, again) {
			t.Fatalf("%q opened as %q", text, plain)
		}
	})
}

// FuzzFen: an amount is read only in the form in which we would write it.
func FuzzFen(f *testing.F) {
	for _, text := range []string{"", "0", "1", "01", "+1", "-1", " 1", "1e2", "1.0", "１", "10000000000", "10000000001", "9223372036854775808"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n, ok := fen(text)
		if ok && text != "" && text != strconv.FormatInt(int64(n), 10) || n < 0 || n > 10_000_000_000 || !ok && n != 0 {
			t.Fatalf("%q became %d, %t", text, n, ok)
		}
	})
}

// FuzzMessage: what we write is what a strict reader finds in it, whatever the values.
func FuzzMessage(f *testing.F) {
	f.Add("body", "茶 & <b>\"x\"</b> ]]>")
	f.Add("a", "&amp;")
	f.Fuzz(func(t *testing.T, name, value string) {
		value = carried(value, maxBody)
		if !utf8.ValidString(value) || len(value) > maxBody || strings.ContainsAny(value, "&=/\x00\r\n") {
			t.Fatalf("carried %q", value)
		}
		if !isName(name) {
			return
		}
		got, err := strict.ParseXML(message(strict.Form{{Name: name, Value: value}}), "xml")
		if nameStart := name[0] < '0' || name[0] > '9'; !nameStart {
			return // no XML name, and none of ours
		}
		if err != nil || len(got) != 1 || got[0].Name != name || got[0].Value != value {
			t.Fatalf("%q = %q came back as %v, %v", name, value, got, err)
		}
	})
}

// FuzzSplits: a value that is let through can never be cut into two fields.
func FuzzSplits(f *testing.F) {
	f.Add("x&total_fee=1")
	f.Add("&=&a")
	f.Add("&" + strings.Repeat("n", 64) + "=")
	f.Fuzz(func(t *testing.T, value string) {
		want := false
		for i := range len(value) { // the slow and plain way
			if value[i] != '&' {
				continue
			}
			name, _, found := strings.Cut(value[i+1:], "=")
			want = want || found && isName(name)
		}
		if splits(value) != want {
			t.Fatalf("%q: %t", value, !want)
		}
	})
}
