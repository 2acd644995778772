package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/sluice-mq/sluice/protocols/admin"
)

// run is the life of a node: it starts, serves until a signal or until
// something essential ends, and stops. A second signal calls quit.
//
// The admin door is there first and goes last, so that probes are answered
// while the store recovers and while clients leave.
func run(cfg Config, log *slog.Logger, o outside) error {
	stop, watched := watch(o.signals, log, echo, o.quit)
	defer watched()
	l := &life{cfg: cfg, log: log, outside: o, node: &node{}}
	l.duty.life = l
	serve, cancel := context.WithCancel(context.Background())
	defer cancel()
	l.group, l.serving = errgroup.WithContext(serve)

	err := l.start(stop)
	if err == nil {
		l.group.Go(func() error { l.follow(o.reloads); return nil })
		select {
		case <-stop.Done():
		case <-l.serving.Done(): // the group has the reason
		}
	} else if stop.Err() != nil {
		log.Info("stopped before the start was over")
		err = nil
	}
	return errors.Join(err, l.end(cancel))
}

// outside is what a node has to do with the process around it.
type outside struct {
	notify notifier
	// signals stop the node, each of reloads has it read its configuration again.
	signals, reloads <-chan os.Signal
	// quit ends the process at once.
	quit func()
	// load reads the configuration again.
	load func() (Config, []string, error)
	// level is from where on the log has lines.
	level   *slog.LevelVar
	environ []string
	// beside is the directory of the configuration file.
	beside string
}

// echo is how long a signal counts as the same as the one before: whoever stops
// make, or a whole process group, signals twice without meaning it.
const echo = time.Second

// watch returns a context that ends with the first signal, and what to call
// when signals are of no interest any more. A later signal than echo calls quit.
func watch(signals <-chan os.Signal, log *slog.Logger, echo time.Duration, quit func()) (context.Context, func()) {
	stop, cancel := context.WithCancel(context.Background())
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var first time.Time
		for {
			select {
			case s := <-signals:
				if !first.IsZero() {
					if time.Since(first) < echo {
						continue
					}
					log.Warn("stopping at once", "signal", s.String())
					quit()
					return
				}
				first = time.Now()
				log.Info("stopping", "signal", s.String())
				cancel()
			case <-over:
				return
			}
		}
	}()
	return stop, func() { cancel(); close(over); <-done }
}

// follow reloads when a signal says so, until the node stops serving.
func (l *life) follow(reloads <-chan os.Signal) {
	for {
		select {
		case <-reloads:
			l.notify.say("RELOADING=1\nMONOTONIC_USEC=" + monotonic())
			if err := l.duty.Reload(l.serving, io.Discard); err != nil {
				l.log.Error("reload failed", "error", err)
			}
			l.notify.say("READY=1")
		case <-l.serving.Done():
			return
		}
	}
}

// monotonic is the time as systemd wants it.
func monotonic() string {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return "0"
	}
	return strconv.FormatInt(t.Nano()/1000, 10)
}

// life is a node between its start and its end.
type life struct {
	cfg Config
	log *slog.Logger
	outside
	health health
	guard  *guard
	// group runs the doors; serving ends when one of them fails.
	group   *errgroup.Group
	serving context.Context
	admin   []listener
	node    *node
	duty    duty
	socket  *admin.Control
}

// start brings everything up. Whatever came up is in l, also after an error.
func (l *life) start(ctx context.Context) error {
	began := time.Now()
	var err error
	l.guard, err = openGuard(l.cfg, l.outside, l.log)
	l.node.guard = l.guard
	l.node.parts = append(l.node.parts, part{"guard", l.guard.close})
	if err != nil {
		return err
	}
	for _, c := range l.cfg.Listeners {
		if c.Protocol != Admin {
			continue
		}
		server, err := admin.Listen(l.adminConfig(c))
		if err != nil {
			return fmt.Errorf("admin listener: %w", err)
		}
		l.admin = append(l.admin, l.open(Admin, server))
	}
	if err := l.node.openDir(l.cfg.DataDir, l.cfg.Cluster != nil); err != nil {
		return err
	}
	if err := l.control(); err != nil {
		return err
	}
	if err := l.node.start(ctx, l.cfg, l.log, &l.health); err != nil {
		return err
	}
	for _, d := range l.node.listening() {
		l.open(d.protocol, d.door)
	}
	l.duty.there.Store(true)
	l.health.enter(serving)
	l.banner(time.Since(began))
	l.notify.say("READY=1")
	return nil
}

// adminConfig is that of the admin door. Without an auth section it knows nobody, and so offers no operations.
func (l *life) adminConfig(c Listener) admin.Config {
	cfg := admin.Config{
		Address: c.Address.String(), MaxConnections: c.connections(l.cfg.Limits),
		Health: &l.health, Collectors: append(collectorsOf(&l.health), &l.node.figures, guardCollector{l.node}), Logger: l.log,
	}
	if l.cfg.Auth != nil {
		cfg.Guard = admin.Guard{Authenticator: &l.guard.identity, Authorizer: &l.guard.identity, Auditor: l.guard.auditor()}
		cfg.Operations = l.duty.operations()
	}
	if trust := l.guard.trust(c); trust != nil {
		cfg.TLS, cfg.Guard.Judge = trust.TLS(), trust.Judge
	}
	return cfg
}

// open lets a door serve.
func (l *life) open(p Protocol, d door) listener {
	l.group.Go(func() error {
		if err := d.Serve(l.serving); err != nil && l.serving.Err() == nil {
			return fmt.Errorf("%s on %v: %w", p, d.Addr(), err)
		}
		return nil
	})
	return listener{protocol: p, door: d}
}

// reopen lets the doors serve again that were drained.
// All of them open, or none.
func (l *life) reopen() error {
	doors := slices.Clone(l.node.listening())
	var fresh []listener
	for i, d := range doors {
		if d.again == nil {
			continue
		}
		door, err := d.again()
		if err != nil {
			return errors.Join(fmt.Errorf("%s listener %v: %w", d.protocol, d.Addr(), err), drain(context.Background(), fresh))
		}
		doors[i].door = door
		fresh = append(fresh, doors[i])
	}
	l.node.listen(doors)
	for _, d := range fresh {
		l.open(d.protocol, d.door)
	}
	return nil
}

// control takes the socket through which the operator speaks. Until the node is there it says what the start waits for.
func (l *life) control() error {
	c, err := admin.ListenControl(admin.ControlConfig{DataDir: l.cfg.DataDir, Operations: l.duty.operations(), Auditor: l.guard.auditor(), Logger: l.log})
	if err != nil {
		return err
	}
	l.socket = c
	l.group.Go(c.Serve)
	l.node.parts = append(l.node.parts, part{"control socket", func(context.Context) error { return c.Close() }})
	return nil
}

// banner says what listens where.
func (l *life) banner(took time.Duration) {
	for _, d := range append(l.admin, l.node.listening()...) {
		l.log.Info("listening", "protocol", string(d.protocol), "address", d.Addr().String())
	}
	for p, at := range l.node.native() {
		l.log.Info("listening", "protocol", string(p), "address", at.String())
	}
	l.log.Info("ready", "node", l.cfg.Node, "version", ReadBuild().Version, "data_dir", l.cfg.DataDir,
		"durability", string(l.cfg.Durability), "took", took.Round(time.Millisecond).String())
}

// end stops what start brought up: readiness goes bad first, then clients leave, then
// shards, then the broker and the store close. It returns within the drain grace and the shutdown timeout,
// even if something hangs; the process ends then and takes it along.
func (l *life) end(cancel context.CancelFunc) error {
	served := l.health.Started()
	l.health.enter(stopping)
	l.notify.say("STOPPING=1")
	timeout := time.Duration(l.cfg.ShutdownTimeout)
	if served {
		l.duty.warn(time.Duration(l.cfg.drainGrace()))
	}
	all, cancelAll := context.WithTimeout(context.Background(), timeout)
	defer cancelAll()

	done := make(chan error, 1)
	go func() {
		for _, hush := range l.node.hush {
			hush()
		}
		l.duty.stop(timeout)
		err := l.node.close(all)
		_ = drain(all, l.admin) // scrapes that hang are not worth a word
		cancel()
		done <- errors.Join(l.group.Wait(), err)
	}()
	select {
	case err := <-done:
		if err == nil {
			l.log.Info("stopped")
		}
		return err
	case <-all.Done():
		return fmt.Errorf("did not stop within %v", timeout)
	}
}
