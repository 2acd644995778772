// Package tests looks at Sluice from outside: the rules of its house here, other
// people's clients, faults and measurements in the folders below.
package tests
