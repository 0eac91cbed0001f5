package wechatv2

import (
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // the platform's default; HMAC-SHA256 by setting
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strings"

	"piaohao/internal/strict"
)

// The ways to sign, as sign_type spells them, and the variants of attempts.
const (
	signMD5  = "MD5"
	signHMAC = "HMAC-SHA256"
)

const maxName = 64 // bytes of a field's name

const textSize = 1024 // bytes; an ordinary message signs half as many, a longer one makes the buffer grow

// text appends what is signed of fields, which must be sorted (安全规范, 签名算法). Fields without a value and sign itself
// do not count.
func (c *client) text(dst []byte, fields strict.Form) []byte {
	for i := range fields {
		if fields[i].Value == "" || fields[i].Name == "sign" {
			continue
		}
		dst = append(append(append(append(dst, fields[i].Name...), '='), fields[i].Value...), '&')
	}
	return append(append(dst, "key="...), c.key.Reveal()...)
}

// sign appends the signature of sorted fields: upper-case hex.
func (c *client) sign(dst []byte, variant string, fields strict.Form) []byte {
	start := len(dst)
	if variant == signHMAC {
		mac := hmac.New(sha256.New, []byte(c.key.Reveal()))
		mac.Write(c.text(make([]byte, 0, textSize), fields))
		dst = hex.AppendEncode(dst, mac.Sum(nil))
	} else {
		var room [textSize]byte
		sum := md5.Sum(c.text(room[:0], fields)) //nolint:gosec // as above
		dst = hex.AppendEncode(dst, sum[:])
	}
	for i := start; i < len(dst); i++ {
		if dst[i] >= 'a' {
			dst[i] -= 'a' - 'A'
		}
	}
	return dst
}

// holds checks the signature of sorted fields, made in the given way, and returns "" or the code of the fault. The way
// is ours; a message that names another one is not believed.
func (c *client) holds(variant string, fields strict.Form) (code string) {
	got := fields.Get("sign")
	if got == "" {
		return "unsigned"
	}
	if named := fields.Get("sign_type"); named != "" && named != variant {
		return "sign_type"
	}
	var room [2 * sha256.Size]byte
	if subtle.ConstantTimeCompare(c.sign(room[:0], variant, fields), []byte(got)) != 1 {
		return "signature"
	}
	return ""
}

// unsplit sorts the fields of a message and returns "" or the code of what makes its signed text ambiguous. That text
// joins fields unescaped, so a value with "&name=" could be handed in again as two fields under the same signature: such
// a value, and a name outside of [a-z0-9_]{1,64}, is refused. free names a field that may hold anything.
func unsplit(fields strict.Form, free string) (code string) {
	for i := range fields {
		switch {
		case !isName(fields[i].Name):
			return "name"
		case fields[i].Name != free && splits(fields[i].Value):
			return "split"
		}
	}
	sortFields(fields)
	return ""
}

func sortFields(fields strict.Form) {
	slices.SortFunc(fields, func(a, b strict.Pair) int { return strings.Compare(a.Name, b.Name) })
}

// splits reports whether value holds "&name=" for any name that a field may have.
func splits(value string) bool {
	for {
		_, rest, found := strings.Cut(value, "&")
		if !found {
			return false
		}
		end := 0
		for end < len(rest) && end <= maxName && isNameByte(rest[end]) {
			end++
		}
		if end > 0 && end <= maxName && end < len(rest) && rest[end] == '=' {
			return true
		}
		value = rest
	}
}

func isName(s string) bool {
	for i := range len(s) {
		if !isNameByte(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

func isNameByte(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' }
