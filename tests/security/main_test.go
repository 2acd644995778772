package security

import (
	"os"
	"testing"

	"github.com/sluice-mq/sluice/gateway/gatewaytest"
	"github.com/sluice-mq/sluice/tests/node"
)

// soon is the deadline of what ought to happen at once on an idle machine.
const soon = gatewaytest.Wait

func TestMain(m *testing.M) { os.Exit(node.Run(m)) }
