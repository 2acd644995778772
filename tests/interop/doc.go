// Package interop runs other people's clients, unchanged, against the built
// sluice. The tests are its only content.
package interop
