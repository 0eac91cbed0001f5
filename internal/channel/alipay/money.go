package alipay

import (
	"strconv"
	"strings"
	"time"

	"piaohao/internal/pay"
)

// zone is the platform's: every time in every message is GMT+8 without saying so. Fixed, so that no tzdata is needed.
var zone = time.FixedZone("GMT+8", 8*60*60)

const (
	timeLayout  = "2006-01-02 15:04:05" // the reader takes fractions of a second too, as gmt_refund has them
	maxYuanText = len("100000000.00")   // MaxAmount
)

// yuan writes an amount as the platform wants it: yuan with two decimals. Yuan exist in this file only.
func yuan(f pay.Fen) string {
	cents := strconv.FormatInt(int64(f%100)+100, 10)[1:]
	return strconv.FormatInt(int64(f/100), 10) + "." + cents
}

// parseYuan reads an amount: 0 or digits without leading zeros, then nothing or exactly two decimals, ASCII only, up to
// 100000000.00 (opendocs, alipay.trade.page.pay, total_amount). The platform writes two decimals; its documents also show whole numbers.
func parseYuan(text string) (pay.Fen, bool) {
	whole, cents, point := strings.Cut(text, ".")
	switch {
	case len(text) > maxYuanText, whole == "", whole[0] == '0' && len(whole) > 1:
		return 0, false
	case point && len(cents) != 2, !only(whole, isDigit), !only(cents, isDigit):
		return 0, false
	case !point:
		cents = "00"
	}
	fen, err := strconv.ParseInt(whole+cents, 10, 64)
	if err != nil || pay.Fen(fen) > pay.MaxAmount {
		return 0, false
	}
	return pay.Fen(fen), true
}

// parseTime reads a time of the platform, the zero time when there is none or it cannot be read: the amount decides,
// and a payment must not be lost over the spelling of its time.
func parseTime(text string) time.Time {
	t, err := time.ParseInLocation(timeLayout, text, zone)
	if err != nil || len(text) < len(timeLayout) || t.Format(timeLayout) != text[:len(timeLayout)] { // Go takes one digit for an hour
		return time.Time{}
	}
	return t.UTC().Truncate(time.Millisecond)
}
