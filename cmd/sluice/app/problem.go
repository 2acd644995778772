package app

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// position is a place in a file, counted from 1; line 0 is nowhere.
type position struct{ line, column int }

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// Origin is who said it: "sluice.yaml:3:7", "SLUICE_NODE", "--listen"; may be empty.
	Origin string
	// Path is the key, such as "listeners[0].address"; may be empty.
	Path string
	// Text says what is wrong, in words.
	Text string

	at position
}

// String is "origin: path: text" without the parts that are not known.
func (p Problem) String() string {
	parts := make([]string, 0, 3)
	for _, s := range []string{p.Origin, p.Path, p.Text} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ": ")
}

// Problems are all that is wrong with a configuration, in the order of the file.
type Problems []Problem

// Error has a line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// sorted puts what has a place first, in the order of the places.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		if (a.at.line == 0) != (b.at.line == 0) {
			return cmp.Compare(b.at.line, a.at.line)
		}
		return cmp.Or(cmp.Compare(a.at.line, b.at.line), cmp.Compare(a.at.column, b.at.column))
	})
	return ps
}

func problem(path, format string, args ...any) Problem {
	return Problem{Path: path, Text: fmt.Sprintf(format, args...)}
}
