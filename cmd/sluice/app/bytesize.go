package app

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ByteSize is a number of bytes. In text it is a whole number with a unit: B,
// KiB, MiB, GiB, TiB (1024) or kB, MB, GB, TB (1000); without a unit it is bytes.
type ByteSize int64

// Bytes of the larger units.
const (
	KiB ByteSize = 1 << 10
	MiB ByteSize = 1 << 20
	GiB ByteSize = 1 << 30
	TiB ByteSize = 1 << 40
)

// byteUnits, longest names first so that "KiB" is not taken for "B".
func byteUnits() []struct {
	name string
	size ByteSize
} {
	return []struct {
		name string
		size ByteSize
	}{{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}
}

// UnmarshalText reads what the type's comment says.
func (s *ByteSize) UnmarshalText(text []byte) error {
	number, size := string(text), ByteSize(1)
	for _, u := range byteUnits() {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, size = strings.TrimSuffix(n, " "), u.size
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return fmt.Errorf("%q is not a size (a whole number with B, KiB, MiB, GiB, kB, MB, ...)", text)
	}
	if n > uint64(math.MaxInt64/size) {
		return fmt.Errorf("%q is more than can be counted", text)
	}
	*s = ByteSize(n) * size
	return nil
}

// String writes the size in the largest unit of 1024 that fits without rest.
func (s ByteSize) String() string {
	for _, u := range byteUnits()[:4] {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

// MarshalText writes String.
func (s ByteSize) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
