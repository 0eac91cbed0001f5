package wechatv3

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"piaohao/internal/pay"
)

// maxDescription is the limit of description, string(127) (Native下单). The page does not say of what: bytes fit
// whichever unit is meant.
const maxDescription = 127

// description is the payment's text as this wire can carry it. & = / become full-width, because they can re-cut
// signed text elsewhere (money rule 3); characters beyond U+FFFF are refused by the platform (接口规则: UTF-8 of
// one to three bytes), and control characters have no place in a wallet. Nothing left → the order's number.
func description(a pay.Attempt) string {
	text := strings.Map(func(r rune) rune {
		switch {
		case r == '&':
			return '＆'
		case r == '=':
			return '＝'
		case r == '/':
			return '／'
		case r > 0xFFFF || r == utf8.RuneError || !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, a.Subject)
	text = strings.TrimSpace(cut(strings.TrimSpace(text), maxDescription))
	if text == "" {
		return a.OutTradeNo
	}
	return text
}

// cut shortens s to at most limit bytes without splitting a character.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
