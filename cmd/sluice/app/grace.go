package app

import (
	"fmt"
	"math"
	"strconv"
)

// Grace is by which factor a client may be late with a heart-beat, 1 to 100.
type Grace float64

// UnmarshalText reads a number in that range.
func (g *Grace) UnmarshalText(text []byte) error {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(f) || f < 1 || f > 100 {
		return fmt.Errorf("%q is not a factor from 1 to 100", text)
	}
	*g = Grace(f)
	return nil
}

// MarshalText writes the number.
func (g Grace) MarshalText() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(g), 'f', -1, 64), nil
}
