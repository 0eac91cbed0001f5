package wechatv2

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"piaohao/internal/pay"
	"piaohao/internal/strict"
)

const (
	maxBody      = 127                   // bytes (统一下单, body: String(127); the page does not say of what, bytes fit in any case)
	maxDesc      = 80                    // bytes (申请退款, refund_desc: String(80))
	timeLayout   = "20060102150405"      // of a payment's times, in Beijing (time_start, time_expire, time_end)
	refundLayout = "2006-01-02 15:04:05" // of a refund's (查询退款, refund_success_time_$n)
)

var beijing = time.FixedZone("", 8*60*60)

// message writes fields as XML. Values are text with entities rather than CDATA: no value can end it.
func message(fields strict.Form) []byte {
	out := append(make([]byte, 0, 1024), "<xml>"...)
	for _, f := range fields {
		out = append(append(append(out, '<'), f.Name...), '>')
		for i := range len(f.Value) {
			switch f.Value[i] {
			case '&':
				out = append(out, "&amp;"...)
			case '<':
				out = append(out, "&lt;"...)
			case '>':
				out = append(out, "&gt;"...)
			default:
				out = append(out, f.Value[i])
			}
		}
		out = append(append(append(out, "</"...), f.Name...), '>')
	}
	return append(out, "</xml>"...)
}

// body is the payment's text as this wire can carry it. Nothing left → the order's number.
func body(a pay.Attempt) string { return cmp.Or(carried(a.Subject, maxBody), a.OutTradeNo) }

// carried is a shop's text as this wire can carry it. & = / become full-width, because they can re-cut signed text (money
// rule 3); characters beyond U+FFFF are refused by the platform, and control characters have no place in a wallet.
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

// clientIP is spbill_create_ip, which the platform wants of every order: the payer's address, or our own machine's
// where it is not known.
func clientIP(a pay.Attempt) string {
	addr, err := netip.ParseAddr(a.ClientIP)
	if err != nil {
		return "127.0.0.1"
	}
	return addr.Unmap().WithZone("").String()
}

// fen reads an amount: digits without a leading zero, up to pay.MaxAmount. "" is 0, like an absent field.
func fen(text string) (pay.Fen, bool) {
	if text == "" || text == "0" {
		return 0, true
	}
	n, err := strconv.ParseUint(text, 10, 63) // refuses signs, spaces, points and what is not a digit
	if err != nil || text[0] == '0' || pay.Fen(n) > pay.MaxAmount {
		return 0, false
	}
	return pay.Fen(n), true
}

// moment reads a time of the platform's; the zero time when it is none, because money counts without its time too.
func moment(layout, text string) time.Time {
	at, err := time.ParseInLocation(layout, text, beijing)
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}

// clean makes a text of the platform fit for a log: printable, at most maxText bytes.
func clean(s string) string {
	return cut(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s), maxText)
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
