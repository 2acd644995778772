package app

import "fmt"

// DrainGrace is for how long a node that goes out of service says so before it sends clients
// away. The zero value is "auto": five seconds in a cluster, none on a single node, which nobody takes over from.
type DrainGrace struct {
	// Duration counts if Fixed.
	Duration Duration
	Fixed    bool
}

// UnmarshalText reads "auto" or a Duration.
func (g *DrainGrace) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*g = DrainGrace{}
		return nil
	}
	var d Duration
	if err := d.UnmarshalText(text); err != nil {
		return fmt.Errorf(`%w or "auto"`, err)
	}
	*g = DrainGrace{Duration: d, Fixed: true}
	return nil
}

// String writes what UnmarshalText reads.
func (g DrainGrace) String() string {
	if g.Fixed {
		return g.Duration.String()
	}
	return "auto"
}

// MarshalText writes String.
func (g DrainGrace) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// clusterGrace is "auto" in a cluster: load balancers that look every two seconds look twice.
const clusterGrace = Duration(5e9)

// drainGrace is what counts for this node.
func (c Config) drainGrace() Duration {
	switch {
	case c.DrainGrace.Fixed:
		return c.DrainGrace.Duration
	case c.Cluster != nil:
		return clusterGrace
	}
	return 0
}
