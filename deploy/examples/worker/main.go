// Command worker consumes a queue with nats.go's own calls, as it would a JetStream
// stream. Start several: they share the queue with each other and with STOMP clients.
package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	url := flag.String("url", nats.DefaultURL, "where the node listens for NATS clients")
	queue := flag.String("queue", "orders", "the queue's name, as in /queue/orders")
	name := flag.String("consumer", "workers", "the consumer's name; all workers of one kind share it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := work(ctx, log, *url, *queue, *name); err != nil {
		log.Error("the worker ends", "error", err)
		os.Exit(1)
	}
}

// work handles messages until ctx is done.
func work(ctx context.Context, log *slog.Logger, url, queue, name string) error {
	nc, err := nats.Connect(url, nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	consumer, err := js.CreateOrUpdateConsumer(ctx, "QUEUES", jetstream.ConsumerConfig{
		Durable:       name,
		FilterSubject: "queue." + queue,
		AckWait:       time.Minute, // a message that takes longer goes to somebody else
		MaxDeliver:    5,           // what fails five times goes to the dead-letter queue
	})
	if err != nil {
		return err
	}
	// At most ten messages wait in this process; others have the rest.
	consuming, err := consumer.Consume(func(m jetstream.Msg) { settle(ctx, log, m) }, jetstream.PullMaxMessages(10))
	if err != nil {
		return err
	}
	log.Info("ready", "queue", queue, "consumer", name)
	<-ctx.Done()
	consuming.Drain() // finishes what is here already
	<-consuming.Closed()
	return nil
}

// settle handles a message and says what became of it.
func settle(ctx context.Context, log *slog.Logger, m jetstream.Msg) {
	err := handle(m)
	switch {
	case err == nil:
		confirm, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = m.DoubleAck(confirm) // it is on disk that this one is done
	case errors.Is(err, errBroken):
		err = m.TermWithReason("nobody can handle it") // to the dead-letter queue
	default:
		err = m.NakWithDelay(time.Second) // again, in a second, perhaps by somebody else
	}
	if err != nil {
		log.Warn("a message may come again", "error", err)
		return
	}
	log.Info("handled", "body", string(m.Data()), "subject", m.Subject())
}

var errBroken = errors.New("the message is broken")

// handle is where the work is done.
func handle(m jetstream.Msg) error {
	if len(m.Data()) == 0 {
		return errBroken
	}
	return nil
}
