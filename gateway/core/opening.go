package core

import (
	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/attach"
	"github.com/sluice-mq/sluice/gateway/dispatch"
)

// opening is a subscription of another node that is not open yet: it must be with all that its client has already.
type opening struct {
	shard *shard
	had   []dispatch.Had
	frame *gateway.Frame // FrameSubscribe, nil before it came
}

// announced takes in some of what the client of a subscription has.
func (g *guest) announced(s *shard, f *gateway.Frame) {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.openings[f.Subscription]
	if o == nil {
		o = &opening{shard: s}
		g.openings[f.Subscription] = o
	}
	for i, seq := range f.Seqs {
		if len(o.had) == attach.AdoptAll {
			return
		}
		h := dispatch.Had{Seq: seq}
		if i < len(f.Counts) {
			h.Redeliveries = f.Counts[i]
		}
		o.had = append(o.had, h)
	}
}

// hold keeps FrameSubscribe of a subscription that was announced until its credit is known, which comes next.
func (g *guest) hold(f *gateway.Frame) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.openings[f.Subscription]
	if o == nil {
		return false
	}
	o.frame = f
	return true
}

// opened returns the opening that a frame completes, or nil.
func (g *guest) opened(f *gateway.Frame) *opening {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := g.openings[f.Subscription]
	if o == nil {
		return nil
	}
	delete(g.openings, f.Subscription)
	if f.Kind != gateway.FrameExtend || o.frame == nil {
		return nil // it does not do what it said it would
	}
	return o
}

// tellAdopted tells the node which of the deliveries are its subscription's here.
func (g *guest) tellAdopted(sub *guestSubscription, seqs, tags []uint64) {
	for len(seqs) > 0 {
		n := min(len(seqs), attach.AdoptMost)
		g.broker.cfg.Cluster.Send(g.node, &gateway.Frame{
			Kind: gateway.FrameAdopted, Shard: sub.shard.index, Epoch: sub.shard.epoch, Subscription: sub.wire, Seqs: seqs[:n], Tags: tags[:n],
		})
		seqs, tags = seqs[n:], tags[n:]
	}
}

// abandon ends all subscriptions of other nodes to a shard whose tenure is over: their nodes know, and have no way to say so.
func (gs *guests) abandon(s *shard) {
	gs.broker.seekers.forget(func(k seekKey, x sought) bool { return k.shard == s.index && x.epoch == s.epoch })
	for _, node := range gs.nodes() {
		g := gs.of(node)
		if g == nil {
			continue
		}
		var over []*guestSubscription
		g.mu.Lock()
		for wire, sub := range g.subs {
			if sub.shard == s {
				delete(g.subs, wire)
				over = append(over, sub)
			}
		}
		for wire, o := range g.openings {
			if o.shard == s {
				delete(g.openings, wire)
			}
		}
		g.mu.Unlock()
		for _, sub := range over {
			sub.Close()
		}
	}
}
