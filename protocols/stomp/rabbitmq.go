package stomp

import (
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// replyPrefix is how RabbitMQ calls the temporary queue of somebody to whom it can be replied.
const replyPrefix = "/reply-queue/"

// rabbit reads a destination as RabbitMQ's plugin does: what stands between slashes is encoded by percents, and "#" in a topic
// stands for any number of words. Of its exchanges there is amq.topic, which are the topics.
func (a *addresses) rabbit(text string, to purpose) (gateway.Destination, error) {
	var none gateway.Destination
	if text == "" {
		return none, errNoDestination
	}
	for _, p := range [...]struct {
		prefix string
		kind   gateway.Kind
	}{
		{queuePrefix, gateway.KindQueue}, {topicPrefix, gateway.KindTopic},
		{"/amq/queue/", gateway.KindQueue}, {"/exchange/amq.topic/", gateway.KindTopic},
	} {
		name, ok := strings.CutPrefix(text, p.prefix)
		switch {
		case !ok:
			continue
		case name == "" || strings.IndexByte(name, '/') >= 0:
			return none, worded("Invalid destination", invalid("'%s' is not a valid %s destination\n", quote(name), strings.Trim(p.prefix, "/")))
		}
		return rabbitName(gateway.Destination{Kind: p.kind, Name: unpercent(name)}, to)
	}
	if name, ok := strings.CutPrefix(text, replyPrefix); ok && to == toSend {
		return gateway.Destination{Kind: gateway.KindTempQueue, Name: name}, nil
	}
	switch {
	case strings.HasPrefix(text, tempQueuePrefix):
		return none, worded("Invalid destination", invalid("'%s': a temporary queue can only be a reply-to\n", quote(text)))
	case strings.HasPrefix(text, "/exchange/"):
		return none, worded("not_found", invalid("'%s': there is no exchange but amq.topic with a routing key\n", quote(text)))
	case strings.HasPrefix(text, remoteQueuePrefix), strings.HasPrefix(text, remoteTopicPrefix):
		d, _, err := a.plain(text) // a reply-to that was shown to somebody else
		return d, err
	}
	return none, worded("Unknown destination", invalid("'%s' is not a valid destination.\n"+
		"Valid destination types are: /queue/, /topic/, /exchange/, /amq/queue/, /temp-queue/, /reply-queue/.\n", quote(text)))
}

// rabbitName gives a name the form that it has here.
func rabbitName(d gateway.Destination, to purpose) (gateway.Destination, error) {
	stars := d.Kind == gateway.KindTopic && to == toSubscribe
	for word := range strings.SplitSeq(d.Name, ".") {
		if word == ">" || word == "*" && !stars {
			return d, invalid("'%s': the word %s cannot be part of this name\n", quote(d.Name), word)
		}
	}
	if stars {
		return d, restOf(&d, "#")
	}
	return d, nil
}

// formatRabbit is format for clients of RabbitMQ.
func (a *addresses) formatRabbit(d gateway.Destination) string {
	switch d.Kind {
	case gateway.KindTopic:
		return topicPrefix + percent(d.Name)
	case gateway.KindTempQueue:
		if name, own := strings.CutPrefix(d.Name, a.own); own {
			return tempQueuePrefix + name
		}
		return replyPrefix + d.Name
	case gateway.KindTempTopic:
		return remoteTopicPrefix + d.Name
	}
	return queuePrefix + percent(d.Name)
}

const hexDigits = "0123456789ABCDEF"

// percent encodes what may not stand between slashes.
func percent(s string) string {
	plain := func(c byte) bool { return c != '/' && c != '%' && c > ' ' && c < 0x7f }
	for i := 0; ; i++ {
		switch {
		case i == len(s):
			return s
		case plain(s[i]):
			continue
		}
		break
	}
	b := make([]byte, 0, len(s)+16)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

// unpercent decodes what percent encodes; what is not encoded stays.
func unpercent(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for ; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, low := unhex(s[i+1]), unhex(s[i+2])
			if high >= 0 && low >= 0 {
				b = append(b, byte(high<<4|low))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// unhex returns what a hexadecimal digit stands for, below 0 if it is none.
func unhex(c byte) int {
	if c >= 'a' && c <= 'f' {
		c -= 'a' - 'A'
	}
	return strings.IndexByte(hexDigits, c)
}
