package core

import "github.com/sluice-mq/sluice/gateway"

// conforms returns why a message is not what the schema of one of its topics asks for, those that its destinations' policies forward it to among them; nil if it is. number is its
// own among those that are sent with it.
func (b *Broker) conforms(number int, m *gateway.Message) error {
	if b.cfg.Schemas == nil {
		return nil
	}
	if !b.spreads(m) {
		return b.conformsTo(m.Destination, number, m)
	}
	seen := make(map[gateway.Destination]struct{})
	err := b.conformsBeyond(m.Destination, number, m, seen)
	for _, d := range m.Also {
		if err != nil {
			break
		}
		err = b.conformsBeyond(d, number, m, seen)
	}
	return err
}

// conformsTo is conforms for one destination.
func (b *Broker) conformsTo(d gateway.Destination, number int, m *gateway.Message) error {
	if d.Kind != gateway.KindTopic {
		return nil
	}
	return b.cfg.Schemas.Check(d.Name, number, m)
}

// conformsBeyond is conformsTo for a destination and those that it is forwarded to.
func (b *Broker) conformsBeyond(d gateway.Destination, number int, m *gateway.Message, seen map[gateway.Destination]struct{}) error {
	if _, twice := seen[d]; twice {
		return nil
	}
	seen[d] = struct{}{}
	p := b.forwarded(d)
	if p == nil {
		return b.conformsTo(d, number, m)
	}
	if !p.ForwardOnly {
		if err := b.conformsTo(d, number, m); err != nil {
			return err
		}
	}
	for _, next := range p.ForwardTo {
		if err := b.conformsBeyond(next, number, m, seen); err != nil {
			return err
		}
	}
	return nil
}
