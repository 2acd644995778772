package stomp

import (
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	queuePrefix = "/queue/"
	topicPrefix = "/topic/"
	// Temporary destinations: of the client itself, which it names, and of anybody, with the whole name.
	tempQueuePrefix   = "/temp-queue/"
	tempTopicPrefix   = "/temp-topic/"
	remoteQueuePrefix = "/remote-temp-queue/"
	remoteTopicPrefix = "/remote-temp-topic/"
)

// maxComposite is how many destinations a composite may have: each may be a copy of a message.
const maxComposite = 256

// errNoDestination are ActiveMQ's words.
var errNoDestination = gateway.Errorf(gateway.Invalid, "Invalid empty or 'null' Destination header")

// target is where a frame points to.
type target struct {
	gateway.Destination
	// also are further destinations.
	also []gateway.Destination
	// options are what followed a "?".
	options string
	// queue of a topic, by a name of its own: what Artemis calls a fully qualified queue name.
	queue string
}

// any reports whether one of the destinations is such.
func (t *target) any(such func(gateway.Destination) bool) bool {
	return such(t.Destination) || slices.ContainsFunc(t.also, such)
}

// pattern returns the first destination that is one.
func (t *target) pattern() string {
	for _, d := range t.also {
		if !t.IsPattern() && d.IsPattern() {
			return d.String()
		}
	}
	return t.String()
}

// equal reports whether two targets are the same destinations.
func (t *target) equal(o *target) bool {
	return t.Destination == o.Destination && t.queue == o.queue && slices.Equal(t.also, o.also)
}

// addresses is how a connection's client writes destinations. It does not change.
type addresses struct {
	*dialect
	// own is what the names of its temporary destinations begin with.
	own string
}

// purpose is what a destination is read for.
type purpose uint8

const (
	toSend purpose = iota
	toSubscribe
)

// typed names the headers by which Artemis tells queues from topics.
var typed = [...]string{toSend: "destination-type", toSubscribe: "subscription-type"}

// target reads the destination header of a frame.
func (a *addresses) target(h gateway.Header, text string, to purpose) (t target, err error) {
	if a.grammar == activeMQGrammar {
		if t.Destination = simple(text); t.Kind != 0 {
			return t, nil
		}
	}
	switch a.grammar {
	case rabbitGrammar:
		t.Destination, err = a.rabbit(strings.TrimSpace(text), to)
	case artemisGrammar:
		kind, _ := h.Get(typed[to])
		t, err = a.artemis(text, kind, to)
	default:
		t, err = a.composite(text)
	}
	if err != nil {
		return target{}, err
	}
	if a.grammar == apolloGrammar && to == toSubscribe {
		err = rest(&t, "**")
	}
	for i := 0; i <= len(t.also) && err == nil; i++ {
		d := &t.Destination
		if i > 0 {
			d = &t.also[i-1]
		}
		err = a.possible(*d, to)
	}
	if err != nil {
		return target{}, err
	}
	return t, nil
}

// simple reads what nearly all destinations are: a queue or a topic of a name without anything unusual. Its kind is
// 0 for any other text.
func simple(text string) gateway.Destination {
	const n = len(queuePrefix) // both have that length
	if len(text) <= n || len(text) > gateway.MaxNameLength {
		return gateway.Destination{}
	}
	kind := gateway.KindQueue
	switch text[:n] {
	case queuePrefix:
	case topicPrefix:
		kind = gateway.KindTopic
	default:
		return gateway.Destination{}
	}
	for i := n; i < len(text); i++ {
		if c := text[i]; c <= ' ' || c >= 0x7f || c == ',' || c == '?' {
			return gateway.Destination{}
		}
	}
	return gateway.Destination{Kind: kind, Name: text[n:]}
}

// possible reports why nobody can send, or subscribe, to a destination.
func (a *addresses) possible(d gateway.Destination, to purpose) error {
	if err := d.Validate(); err != nil {
		return err
	}
	switch {
	case d.Kind.IsTemp() && d.IsPattern():
		return invalid("%s is a temporary destination and cannot have wildcards", quote(a.format(d)))
	case d.Kind == gateway.KindSubscription && to == toSend:
		return invalid("%s is a durable subscription: nobody can send to it", quote(a.format(d)))
	}
	return nil
}

// composite reads destinations as ActiveMQ does: several with commas between, each with options after a "?". What has no
// prefix is a queue of that literal name.
func (a *addresses) composite(text string) (t target, err error) {
	text = strings.TrimSpace(text)
	if strings.IndexByte(text, ',') < 0 {
		text, t.options, _ = strings.Cut(text, "?")
		t.Destination, _, err = a.plain(text)
		return t, err
	}
	parts := strings.Split(strings.TrimRight(text, ", \t"), ",")
	if len(parts) > maxComposite {
		return t, gateway.Errorf(gateway.Limit, "The destination has %d parts, the limit is %d", len(parts), maxComposite)
	}
	for i, part := range parts {
		name, options, _ := strings.Cut(strings.TrimSpace(part), "?")
		d, _, err := a.plain(name)
		switch {
		case err != nil:
			return t, err
		case i == 0:
			t.Destination = d
		case d != t.Destination && !slices.Contains(t.also, d):
			t.also = append(t.also, d)
		}
		if options != "" {
			t.options += "&" + options
		}
	}
	return t, nil
}

// prefixes lead to kinds of destinations; own ones to those of the client.
var prefixes = [...]struct {
	prefix string
	kind   gateway.Kind
	own    bool
}{
	{queuePrefix, gateway.KindQueue, false}, {topicPrefix, gateway.KindTopic, false},
	{tempQueuePrefix, gateway.KindTempQueue, true}, {tempTopicPrefix, gateway.KindTempTopic, true},
	{remoteQueuePrefix, gateway.KindTempQueue, false}, {remoteTopicPrefix, gateway.KindTempTopic, false},
	{"queue://", gateway.KindQueue, false}, {"topic://", gateway.KindTopic, false},
	{"temp-queue://", gateway.KindTempQueue, false}, {"temp-topic://", gateway.KindTempTopic, false},
}

// plain reads one destination. It reports whether it had a prefix.
func (a *addresses) plain(s string) (d gateway.Destination, prefixed bool, err error) {
	for i := range prefixes {
		p := &prefixes[i]
		name, ok := strings.CutPrefix(s, p.prefix)
		if !ok {
			continue
		}
		if p.own {
			name = a.own + name
		}
		return gateway.Destination{Kind: p.kind, Name: name}, true, nil
	}
	if s == "" {
		return d, false, errNoDestination
	}
	if id, ok := strings.CutPrefix(s, "/dsub/"); ok && a.grammar == apolloGrammar {
		return gateway.Destination{Kind: gateway.KindSubscription, Name: ":" + id}, true, nil
	}
	return gateway.Destination{Kind: gateway.KindQueue, Name: s}, false, nil
}

// rest gives a word that stands for the rest of a name the form that it has here.
func rest(t *target, word string) error {
	err := restOf(&t.Destination, word)
	for i := range t.also {
		if err == nil {
			err = restOf(&t.also[i], word)
		}
	}
	return err
}

func restOf(d *gateway.Destination, word string) error {
	before, last := "", d.Name
	if i := strings.LastIndexByte(d.Name, '.'); i >= 0 {
		before, last = d.Name[:i+1], d.Name[i+1:]
	}
	if slices.Contains(strings.Split(before, "."), word) {
		return invalid("%s: %s can only stand at the end", quote(d.String()), word)
	}
	if last == word {
		d.Name = before + ">"
	}
	return nil
}

// format writes a destination as the client sees it: always with a prefix.
func (a *addresses) format(d gateway.Destination) string {
	if a.grammar == rabbitGrammar {
		return a.formatRabbit(d)
	}
	name, own := strings.CutPrefix(d.Name, a.own)
	switch d.Kind {
	case gateway.KindTopic:
		return topicPrefix + d.Name
	case gateway.KindTempQueue:
		if own {
			return tempQueuePrefix + name
		}
		return remoteQueuePrefix + d.Name
	case gateway.KindTempTopic:
		if own {
			return tempTopicPrefix + name
		}
		return remoteTopicPrefix + d.Name
	case gateway.KindSubscription:
		return "/dsub/" + strings.TrimPrefix(d.Name, ":")
	}
	return queuePrefix + d.Name
}

// consumerOption returns an option of the form consumer.<name> that was given with a destination.
func consumerOption(options, name string) string {
	if options == "" {
		return ""
	}
	// A part that cannot be parsed is left out; the rest still counts.
	values, _ := url.ParseQuery(options)
	return values.Get("consumer." + name)
}
