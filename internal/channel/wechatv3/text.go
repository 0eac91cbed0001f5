package wechatv3

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"

	"piaohao/internal/pay"
)

// Limits of texts: description, string(127) (Native下单), and reason, string(80) (申请退款). The pages do not say of what:
// bytes fit whichever unit is meant.
const (
	maxDescription = 127
	maxReason      = 80
)

// description is the payment's text as this wire can carry it. Nothing left → the order's number.
func description(a pay.Attempt) string {
	return cmp.Or(carried(a.Subject, maxDescription), a.OutTradeNo)
}

// carried is a shop's text as this wire can carry it. & = / become full-width, because they can re-cut signed text
// elsewhere (money rule 3); characters beyond U+FFFF are refused by the platform (接口规则: UTF-8 of one to three bytes),
// and control characters have no place in a wallet.
func carried(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
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
	}, text)
	return strings.TrimSpace(cut(strings.TrimSpace(text), limit))
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
