package registry

import "strings"

// The bounds of an amount, so that it and what is reckoned with it stay exact.
const (
	SpendPlaces = 6 // of a limit of money: it is counted in millionths of the currency
	PricePlaces = 9 // of a price
	amountWhole = 9 // digits before the point
)

// Decimal reads an amount such as "250.00" as a whole number of units of 10^-places, exactly. It is digits, and where there are
// fractions a point and digits: no sign, exponent or separator. False where it is something else, has more places, or is a billion or
// more. places is at most 9.
func Decimal(text string, places int) (int64, bool) {
	whole, fraction, pointed := strings.Cut(text, ".")
	if whole == "" || len(whole) > amountWhole || pointed && fraction == "" || len(fraction) > places {
		return 0, false
	}
	n := int64(0)
	for _, c := range []byte(whole + fraction + strings.Repeat("0", places-len(fraction))) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
