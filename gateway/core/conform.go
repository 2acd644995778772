package core

import "github.com/sluice-mq/sluice/gateway"

// conforms returns why a message is not what the schema of one of its topics asks for, nil if it is. number is its own among those that are sent with it.
func (b *Broker) conforms(number int, m *gateway.Message) error {
	if b.cfg.Schemas == nil {
		return nil
	}
	if m.Destination.Kind == gateway.KindTopic {
		if err := b.cfg.Schemas.Check(m.Destination.Name, number, m); err != nil {
			return err
		}
	}
	for _, d := range m.Also {
		if d.Kind != gateway.KindTopic {
			continue
		}
		if err := b.cfg.Schemas.Check(d.Name, number, m); err != nil {
			return err
		}
	}
	return nil
}
