// Command sluice is the messaging gateway: STOMP and NATS clients share queues
// and topics that an embedded JetStream keeps. All it can do is in app.
package main

import (
	"os"

	"github.com/sluice-mq/sluice/cmd/sluice/app"
)

func main() {
	os.Exit(app.Main(os.Args[1:], app.Process{
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
		Environ: os.Environ(),
		Exit:    os.Exit,
	}))
}
