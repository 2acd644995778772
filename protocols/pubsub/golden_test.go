package pubsub_test

import (
	"testing"

	"github.com/sluice-mq/sluice/protocols/pubsub"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
	"github.com/sluice-mq/sluice/tests/golden"
)

// TestGoldenSession replays what was recorded with the real service: every answer is the same to the letter, but for times, ids and what the package golden
// says.
func TestGoldenSession(t *testing.T) {
	w := newWorld(t, func(cfg *pubsub.Config) {
		cfg.MaxMessage = golden.MaxMessage
		cfg.Version = wire.Version{
			BuildTime: "Unknown", Go: "go1.26.8", Compiler: "gc", OS: "linux", Architecture: "amd64", Release: "1.7.0", Distro: "Debian GNU/Linux 12 (bookworm)", Hostname: "lb.local",
		}
	})
	golden.Replay(t, golden.Player{Token: serviceToken, Pass: w.clock.pass, Ask: func(method, path, key, body string) golden.Answer {
		a := w.ask(method, path, key, body)
		return golden.Answer{Code: a.code, Kind: a.kind, Body: a.body}
	}})
}
