package app

import (
	"fmt"
	"slices"
	"strings"
)

// parseListener reads "protocol=address", as flags and the environment have it.
func parseListener(word string) (Listener, error) {
	protocol, address, ok := strings.Cut(strings.TrimSpace(word), "=")
	if !ok {
		return Listener{}, fmt.Errorf("%q is not protocol=address, such as stomp=127.0.0.1:61613", word)
	}
	var l Listener
	if err := l.Protocol.UnmarshalText([]byte(protocol)); err != nil {
		return Listener{}, err
	}
	if err := l.Address.UnmarshalText([]byte(address)); err != nil {
		return Listener{}, err
	}
	return l, nil
}

// override puts the given listeners in the place of those of the same
// protocols, with the settings of the first of these, and leaves the others alone.
func override(all, given []Listener) []Listener {
	kept := slices.Clone(all)
	for _, g := range given {
		kept = slices.DeleteFunc(kept, func(l Listener) bool { return l.Protocol == g.Protocol })
	}
	for _, g := range given {
		if i := slices.IndexFunc(all, func(l Listener) bool { return l.Protocol == g.Protocol }); i >= 0 {
			settings := all[i]
			settings.Address = g.Address
			g = settings
		}
		kept = append(kept, g)
	}
	return kept
}
