package cluster

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/tests/node"
)

func TestMain(m *testing.M) {
	if short() {
		gatewaytest.Beside(8)
	}
	os.Exit(node.Run(m))
}

// short reports whether nobody has asked for more than one round of each fault.
func short() bool { return os.Getenv("SLUICE_FAULT_ROUNDS") == "" }

// soon is how long anything may take before a test fails.
const soon = 90 * time.Second

// rounds is how often a fault is made: fallback, or what SLUICE_FAULT_ROUNDS says.
func rounds(t *testing.T, fallback int) int {
	text := os.Getenv("SLUICE_FAULT_ROUNDS")
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "SLUICE_FAULT_ROUNDS")
	return n
}

// long skips a test but in the long form: it takes its time, and under a load that others make it sees what is known to be open.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("SLUICE_FAULT_ROUNDS") == "" {
		t.Skip("only in `make faults`")
	}
}

// chance makes a test's random numbers, the same again with SLUICE_FAULT_SEED.
func chance(t *testing.T) *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("SLUICE_FAULT_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "SLUICE_FAULT_SEED")
	}
	t.Logf("SLUICE_FAULT_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// await polls until something holds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(soon)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("this did not come to pass within %v: %s", soon, what)
		}
		<-tick.C
	}
}

// paced is SLUICE_FAULT_PACED: how long senders rest after each message, so that several long runs can be on one machine at once. 0 is not at all.
func paced(t *testing.T) time.Duration {
	text := os.Getenv("SLUICE_FAULT_PACED")
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "SLUICE_FAULT_PACED")
	return d
}
