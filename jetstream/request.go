package jetstream

import "github.com/sluice-mq/sluice/gateway"

// request is a record on its way to the stream.
type request struct {
	record *gateway.Record
	to     gateway.Appended
}

// outcome is a stored record on its way to its caller.
type outcome struct {
	seq uint64
	to  gateway.Appended
}

// fifo is a queue of requests that reuses its memory.
type fifo struct {
	items []request
	head  int
}

func (f *fifo) len() int { return len(f.items) - f.head }

func (f *fifo) push(r request) { f.items = append(f.items, r) }

func (f *fifo) pop() request {
	r := f.items[f.head]
	f.items[f.head] = request{}
	f.head++
	switch {
	case f.head == len(f.items):
		f.items, f.head = f.items[:0], 0
	case f.head > 4096 && f.head*2 > len(f.items):
		n := copy(f.items, f.items[f.head:])
		clear(f.items[n:])
		f.items, f.head = f.items[:n], 0
	}
	return r
}
