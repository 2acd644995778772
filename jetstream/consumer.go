package jetstream

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/sluice-mq/sluice/gateway"
)

// A consumer in a frame is
//
//	length | selector | flags (1) | priority | [ maximum | delay | longest delay | back-off ]   with consumerRedelivery
//
// in milliseconds. Who knows less of it than there is skips the rest.

const (
	consumerExclusive = 1 << iota
	consumerRedelivery
)

func appendConsumer(dst []byte, c *gateway.Consumer) []byte {
	dst = append(dst, 0, 0, 0, 0)
	start := len(dst)
	dst = appendString(dst, c.Selector)
	var flags byte
	if c.Exclusive {
		flags |= consumerExclusive
	}
	if c.Redelivery != nil {
		flags |= consumerRedelivery
	}
	dst = append(dst, flags)
	dst = binary.AppendVarint(dst, int64(c.Priority))
	if r := c.Redelivery; r != nil {
		dst = binary.AppendVarint(dst, int64(r.Maximum))
		dst = binary.AppendVarint(dst, r.Delay.Milliseconds())
		dst = binary.AppendVarint(dst, r.MaxDelay.Milliseconds())
		dst = binary.AppendUvarint(dst, math.Float64bits(r.Backoff))
	}
	binary.BigEndian.PutUint32(dst[start-4:], uint32(len(dst)-start))
	return dst
}

func (d *decoder) consumer() *gateway.Consumer {
	size := d.bytes(4)
	if d.failed {
		return nil
	}
	in := decoder{b: d.bytes(uint64(binary.BigEndian.Uint32(size)))}
	c := &gateway.Consumer{Selector: string(in.bytes(in.uvarint()))}
	flags := in.bytes(1)
	c.Priority = int8(in.varint())
	if !in.failed && flags[0]&consumerRedelivery != 0 {
		c.Redelivery = &gateway.Redelivery{
			Maximum: int(in.varint()), Delay: time.Duration(in.varint()) * time.Millisecond,
			MaxDelay: time.Duration(in.varint()) * time.Millisecond, Backoff: math.Float64frombits(in.uvarint()),
		}
	}
	if in.failed {
		d.fail()
		return nil
	}
	c.Exclusive = flags[0]&consumerExclusive != 0
	return c
}
