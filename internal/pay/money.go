package pay

import "errors"

// Fen is an amount of money in fen, a hundredth of a yuan. No other type carries money.
type Fen int64

// The smallest and largest amount of a payment.
const (
	MinAmount Fen = 1
	MaxAmount Fen = 10_000_000_000
)

// ErrAmount is the answer to an amount outside MinAmount…MaxAmount or to a sum that does not fit.
var ErrAmount = errors.New("amount outside 1…10,000,000,000 fen")

// CNY is the only currency of both platforms.
const CNY = "CNY"

// Valid reports whether f may be the amount of a payment or a refund.
func (f Fen) Valid() bool { return f >= MinAmount && f <= MaxAmount }

// Add returns f+g, or ErrAmount when the sum leaves 0…MaxAmount.
func (f Fen) Add(g Fen) (Fen, error) {
	if f < 0 || g < 0 || f > MaxAmount-g {
		return 0, ErrAmount
	}
	return f + g, nil
}
