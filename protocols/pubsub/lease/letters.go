package lease

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/dispatch"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// What a dead letter says of itself, in Google's words: how often it was handed out, for which subscription of which project, and when it was published.
const (
	letterPrefix       = "CloudPubSubDeadLetterSource"
	letterCount        = letterPrefix + "DeliveryCount"
	letterSubscription = letterPrefix + "Subscription"
	letterProject      = letterPrefix + "SubscriptionProject"
	letterTime         = letterPrefix + "TopicPublishTime"
)

// lettersMost is how many dead letters are on their way at once.
const lettersMost = 16

// bury sends a message that was handed out too often to the topic for such, and then it is gone; if that fails it is tried again. The lock is held.
func (b *book) bury(d dispatch.Death) {
	b.k.background.Go(func() {
		b.k.letters.slots <- struct{}{}
		defer func() { <-b.k.letters.slots }()
		err := b.k.letter(b.sub, b.of, d.Entry)
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.closed != nil {
			return
		}
		if err != nil && !b.unsent { // once, until it goes well again
			b.k.cfg.Logger.Warn("messages cannot be sent to the topic for dead letters, and are tried again", "subscription", b.sub.Name.String(), "topic", b.sub.Lease.DeadLetters, "error", err)
		}
		b.unsent = err != nil
		if err != nil {
			b.q.Unburied(d.Entry.Tag, b.millis(), &b.fx)
		} else {
			b.q.Buried(d.Entry.Tag, &b.fx)
		}
		b.carryOut()
		b.after()
	})
}

// letter sends a dead letter.
func (k *Keeper) letter(sub *resource.Subscription, of *resource.Topic, e dispatch.Entry) error {
	ctx, cancel := context.WithTimeout(k.life, k.cfg.Patience)
	defer cancel()
	if k.cfg.Directory.Topic(ctx, resource.Name{Project: sub.Project, Name: sub.Lease.DeadLetters}) == nil {
		return errNoLetters // before anything is read: it is tried again and again
	}
	m := e.Message
	if m == nil {
		messages, err := k.fetch(of, []uint64{e.Seq - 1})
		if err != nil || messages[0] == nil { // too old by now
			return err
		}
		m = messages[0]
	}
	return k.letters.send(ctx, deadLetter(m, sub, e.Redeliveries))
}

// deadLetter makes the message that goes to the topic for dead letters.
func deadLetter(m *gateway.Message, sub *resource.Subscription, attempts uint32) *gateway.Message {
	dead := m.Copy()
	dead.ID, dead.Also, dead.Queue, dead.Persistent, dead.Expires, dead.Timestamp, dead.Offset = "", nil, "", true, 0, 0, nowhere
	dead.Destination = gateway.Destination{Kind: gateway.KindTopic, Name: resource.Name{Project: sub.Project, Name: sub.Lease.DeadLetters}.String()}
	dead.Header = slices.DeleteFunc(slices.Clone(m.Header), func(f gateway.Field) bool {
		return strings.HasPrefix(f.Name, letterPrefix) || strings.HasPrefix(f.Name, "AMQ_SCHEDULED_")
	})
	for _, f := range [...]gateway.Field{
		{Name: letterCount, Value: strconv.FormatUint(uint64(attempts), 10)}, {Name: letterSubscription, Value: sub.Name.Name},
		{Name: letterProject, Value: sub.Project}, {Name: letterTime, Value: wire.Moment(time.UnixMilli(m.Timestamp))},
	} {
		dead.Header = append(dead.Header, f)
	}
	return dead
}

var errNoLetters = gateway.Errorf(gateway.NotFound, "the topic for dead letters is gone")

// nowhere is the offset of a message that is in no log.
const nowhere = math.MaxUint64

// letters sends dead letters, on one session.
type letters struct {
	open  func(context.Context) (gateway.Session, error)
	slots chan struct{}

	mu      sync.Mutex
	session gateway.Session
}

func (l *letters) take(ctx context.Context) (gateway.Session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session == nil {
		s, err := l.open(ctx)
		if err != nil {
			return nil, err
		}
		l.session = s
	}
	return l.session, nil
}

// drop closes a session that is of no use; nil: the one that there is.
func (l *letters) drop(s gateway.Session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.session != nil && (s == nil || s == l.session) {
		l.session.Close()
		l.session = nil
	}
}

// send returns when a message is in the log of its topic.
func (l *letters) send(ctx context.Context, m *gateway.Message) error {
	s, err := l.take(ctx)
	if err != nil {
		return err
	}
	sent := make(sent, 1)
	s.Send(m, sent, 0)
	select {
	case err = <-sent:
	case <-ctx.Done():
		return ctx.Err() // nobody may look at what is still on its way
	}
	switch {
	case gateway.KindOf(err) == gateway.Unavailable && err != nil:
		l.drop(s)
	case err == nil && m.Offset == nowhere:
		err = errNoLetters
	}
	return err
}

// sent tells who waits.
type sent chan error

// Complete implements gateway.Completion.
func (s sent) Complete(_ uint64, err error) { s <- err }
