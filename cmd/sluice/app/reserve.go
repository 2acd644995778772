package app

import "fmt"

// Reserve is how much space on the store's file system must stay free. The
// zero value is "auto": a twentieth of the file system, at most 1 GiB.
type Reserve struct {
	// Size counts if Fixed.
	Size  ByteSize
	Fixed bool
}

// UnmarshalText reads "auto" or a ByteSize.
func (r *Reserve) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*r = Reserve{}
		return nil
	}
	var size ByteSize
	if err := size.UnmarshalText(text); err != nil {
		return fmt.Errorf(`%w or "auto"`, err)
	}
	*r = Reserve{Size: size, Fixed: true}
	return nil
}

// String writes what UnmarshalText reads.
func (r Reserve) String() string {
	if r.Fixed {
		return r.Size.String()
	}
	return "auto"
}

// MarshalText writes String.
func (r Reserve) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
