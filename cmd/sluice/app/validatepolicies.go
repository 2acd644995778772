package app

import (
	"fmt"
	"math"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/policy"
)

const (
	maxPrefetch = 1 << 20
	maxTTL      = Duration(10 * 365 * 24 * 3600 * 1e9)
)

// policies wants each policy to be about something, and to do what can be done there.
func (v *validator) policies(all []Policy) {
	for i := range all {
		p, path := &all[i], fmt.Sprintf("policies[%d]", i)
		if len(p.On) == 0 {
			v.say(path, "has no destinations: on")
		}
		count(v, path+".prefetch", p.Prefetch, 0, maxPrefetch)
		count(v, path+".ttl.default", p.TTL.Default, 0, maxTTL)
		count(v, path+".ttl.maximum", p.TTL.Maximum, 0, maxTTL)
		if p.TTL.Maximum > 0 && p.TTL.Default > p.TTL.Maximum {
			v.say(path+".ttl.default", "is longer than maximum")
		}
		v.queuePolicy(path, p)
		v.topicPolicy(path, p)
		for _, to := range p.ForwardTo {
			if gateway.Destination(to).IsPattern() {
				v.say(path+".forward_to", "%s is a pattern: a message needs one destination", to)
			}
		}
		if p.ForwardOnly && len(p.ForwardTo) == 0 {
			v.say(path+".forward_only", "has no destinations: forward_to")
		}
	}
}

func (p *Policy) has(k gateway.Kind) bool {
	for _, d := range p.On {
		if d.Kind == k {
			return true
		}
	}
	return false
}

func (v *validator) queuePolicy(path string, p *Policy) {
	if r := p.Redelivery; r != nil {
		count(v, path+".redelivery.delay", r.Delay, 0, maxTTL)
		count(v, path+".redelivery.max_delay", r.MaxDelay, 0, maxTTL)
	}
	count(v, path+".limits.messages", p.Limits.Messages, 0, math.MaxInt32)
	if p.Limits.WhenFull != "" && p.Limits.Messages == 0 && p.Limits.Bytes == 0 {
		v.say(path+".limits.when_full", "has no limit: messages or bytes")
	}
	if queue := p.DeadLetter.Queue; queue != "" {
		if p.DeadLetter.Off {
			v.say(path+".dead_letter.off", "and a queue exclude one another")
		}
		d := gateway.Destination{Kind: gateway.KindQueue, Name: strings.ReplaceAll(queue, "{name}", "x")}
		if err := d.Validate(); err != nil || d.IsPattern() || strings.HasPrefix(queue, "/queue/") {
			v.say(path+".dead_letter.queue", "%q is not the name of a queue", queue)
		}
	}
	if p.has(gateway.KindQueue) || len(p.On) == 0 {
		return
	}
	for _, x := range []struct {
		key  string
		used bool
	}{{"priorities", p.Priorities}, {"exclusive", p.Exclusive}, {"limits", p.Limits != QueueLimits{}}} {
		if x.used {
			v.say(path+"."+x.key, "is about queues, and the policy is not")
		}
	}
}

func (v *validator) topicPolicy(path string, p *Policy) {
	count(v, path+".retain.messages", p.Retain.Messages, 0, math.MaxInt32)
	count(v, path+".pending", p.Pending, 0, maxPrefetch)
	count(v, path+".retain.age", p.Retain.Age, 0, maxTTL)
	var told policy.Advisories
	for _, w := range p.Advisories {
		w.gateway(&told)
	}
	for _, x := range []struct {
		key  string
		used bool
	}{{"retain", p.Retain != (Retain{})}, {"pending", p.Pending > 0}, {"advisories", told.Slow || told.Discarded}} {
		if x.used && len(p.On) > 0 && !p.has(gateway.KindTopic) {
			v.say(path+"."+x.key, "is about topics, and the policy is not")
		}
	}
	if p.Retain.Always && p.Retain == (Retain{Always: true}) {
		v.say(path+".retain.always", "keeps nothing: messages, bytes, age or all")
	}
}
