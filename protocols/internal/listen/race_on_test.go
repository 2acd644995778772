//go:build race

package listen_test

const raceEnabled = true
