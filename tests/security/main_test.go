package security

import (
	"os"
	"testing"
	"time"

	"github.com/sluice-mq/sluice/tests/node"
)

// soon is the deadline of what ought to happen at once on an idle machine.
const soon = 30 * time.Second

func TestMain(m *testing.M) { os.Exit(node.Run(m)) }
