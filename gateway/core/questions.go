package core

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/schedule"
	"github.com/sluice-mq/sluice/gateway/statistics"
)

// Some destinations are the broker's own, as in ActiveMQ: what is sent to them is a question or an order, and goes no further.

// question is what the messages to a destination ask of the broker.
type question uint8

const (
	noQuestion question = iota
	// ofBroker, ofDestinations and ofSubscriptions are questions for statistics, ofNothing are such that there are not.
	ofBroker
	ofDestinations
	ofSubscriptions
	ofNothing
	// ofSchedule is about what waits for its time.
	ofSchedule
)

// questionsMost is how many questions of a session wait for their answers.
const questionsMost = 256

// questionAt is what may be asked at a destination.
func questionAt(d gateway.Destination) question {
	rest, ofStatistics := strings.CutPrefix(d.Name, statistics.Prefix)
	switch {
	case d.Kind != gateway.KindQueue && d.Kind != gateway.KindTopic:
	case d.Name == schedule.Management:
		return ofSchedule
	case !ofStatistics:
	case rest == statistics.Broker:
		return ofBroker
	case strings.HasPrefix(rest, statistics.Destination):
		return ofDestinations
	case strings.HasPrefix(rest, statistics.Subscription):
		return ofSubscriptions
	default:
		return ofNothing
	}
	return noQuestion
}

// answers takes a message that asks something. false: it does not, and goes where it is sent. Questions of a session are answered one after another; the message
// is complete when its answers are on their way, or what it wants is done.
func (s *session) answers(m *gateway.Message, g *grant, c gateway.Completion, token uint64) bool {
	reply, hasReply := replyOf(m)
	var answer func() error
	switch {
	case len(m.Also) > 0 && !m.Destination.IsPattern():
		return false
	case g.asks == ofSchedule:
		answer = func() error { return s.manageSchedule(m, reply, hasReply) }
	case hasReply && len(m.Also) == 0:
		answer = func() error { return s.answerStatistics(m, g.asks, reply) }
	case m.Destination.IsPattern():
		complete(c, token, gateway.Errorf(gateway.Invalid, "who asks for statistics says in reply-to where the answer goes"))
		return true
	default:
		return false
	}
	c = s.witness(m, c)
	if err := s.queue(func() { complete(c, token, answer()) }); err != nil {
		complete(c, token, err)
	}
	return true
}

// queue has questions answered in their order.
func (s *session) queue(answer func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || s.why != nil:
		return errSessionClosed
	case len(s.questions) >= questionsMost:
		return gateway.Errorf(gateway.Limit, "%d questions of this session wait for their answers, the limit", questionsMost)
	}
	s.questions = append(s.questions, answer)
	if len(s.questions) == 1 && !s.broker.spawn(s.answerAll) {
		s.questions = nil
		return errStopping
	}
	return nil
}

// answerAll answers until there is no question left.
func (s *session) answerAll() {
	for {
		s.mu.Lock()
		answer := s.questions[0]
		s.mu.Unlock()
		answer()
		s.mu.Lock()
		s.questions[0] = nil
		s.questions = s.questions[1:]
		if len(s.questions) == 0 {
			s.questions = nil
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// replyOf is where the answer to a message goes.
func replyOf(m *gateway.Message) (reply gateway.Destination, ok bool) {
	text, _ := m.Header.Get("reply-to")
	for _, x := range [...]struct {
		prefix string
		kind   gateway.Kind
	}{
		{"/queue/", gateway.KindQueue}, {"/topic/", gateway.KindTopic}, {"queue://", gateway.KindQueue}, {"topic://", gateway.KindTopic},
		{"/remote-temp-queue/", gateway.KindTempQueue}, {"/remote-temp-topic/", gateway.KindTempTopic},
	} {
		if name, found := strings.CutPrefix(strings.TrimSpace(text), x.prefix); found {
			return gateway.Destination{Kind: x.kind, Name: name}, true
		}
	}
	return reply, false
}
