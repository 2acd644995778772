package bench

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/sluice-mq/sluice/protocols/internal/measure"
)

// batchSize is how many bytes a producer without a rate gathers for one write.
const batchSize = 64 << 10

// producer sends its share and counts its receipts.
type producer struct {
	*conn
	run      *run
	id       int
	heads    [][]byte // for each flow
	body     []byte
	credit   chan struct{}  // one for each receipt outstanding
	sentAt   []atomic.Int64 // when what awaits a receipt was sent, by number modulo the window
	receipts *hdrhistogram.Histogram
	buf      []byte
}

func (r *run) newProducer(ctx context.Context, id int) (*producer, error) {
	c, err := dial(ctx, r.target, r.Consumers+id, r.Size)
	if err != nil {
		return nil, err
	}
	window := max(r.Window, 1)
	p := &producer{conn: c, run: r, id: id, body: make([]byte, r.Size), receipts: measure.NewHistogram(),
		credit: make(chan struct{}, window), sentAt: make([]atomic.Int64, window)}
	for f := id; f < r.flows(); f += r.Producers {
		p.heads = append(p.heads, r.target.Dialect.sendHead(r.Scenario, r.target.Dialect.destination(r.Scenario, r.seal.run, f%r.Destinations)))
	}
	fill(p.body, id)
	return p, nil
}

// send returns when everything is written and receipted.
func (p *producer) send(ctx context.Context) error {
	own := p.run.shareOf(p.id)
	receipts := 1
	if p.run.Window > 0 {
		receipts = own
	}
	confirmed := make(chan error, 1)
	go func() { confirmed <- p.confirm(receipts) }()
	written := make(chan error, 1)
	go func() { written <- p.writeAll(ctx, own) }()
	for range 2 {
		select {
		case err := <-written:
			if err != nil {
				_ = p.Close()
				return fmt.Errorf("producer %d: %w", p.id, err)
			}
			written = nil
		case err := <-confirmed:
			if err != nil {
				_ = p.Close()
				return fmt.Errorf("producer %d: %w", p.id, err)
			}
			confirmed = nil
		case <-ctx.Done():
			_ = p.Close()
			return ctx.Err()
		}
	}
	return nil
}

// confirm reads the receipts, each of which is due once.
func (p *producer) confirm(n int) error {
	own := p.run.shareOf(p.id)
	got := make([]uint64, own/64+1)
	var f frame
	for range n {
		if err := p.next(&f, "RECEIPT"); err != nil {
			return err
		}
		n, ok := number(f.field(lineReceiptID))
		if !ok || n >= uint64(own) || got[n/64]&(1<<(n%64)) != 0 {
			return fmt.Errorf("a receipt for %q, which awaits none", f.field(lineReceiptID))
		}
		got[n/64] |= 1 << (n % 64)
		if p.run.Window > 0 {
			measure.Note(p.receipts, p.run.now()-p.sentAt[n%uint64(p.run.Window)].Load())
			<-p.credit
		}
	}
	return nil
}

func (p *producer) writeAll(ctx context.Context, own int) error {
	interval := p.run.interval()
	var pace pacer
	if interval > 0 {
		pace = newPacer()
	}
	// Producers of one rate take turns.
	first := p.run.now() + int64(interval)*int64(p.id)/int64(p.run.Producers)
	for i := range own {
		due := first + int64(interval)*int64(i)
		if interval > 0 {
			if err := p.await(ctx, pace, due); err != nil {
				return err
			}
		}
		if err := p.takeCredit(ctx); err != nil {
			return err
		}
		if interval == 0 {
			due = p.run.now()
		}
		p.append(i, i == own-1, due)
		if len(p.buf) >= batchSize || i == own-1 || p.run.Window == 1 {
			if err := p.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// await sends what is gathered and waits until a message is due.
func (p *producer) await(ctx context.Context, pace pacer, due int64) error {
	wait := time.Duration(due - p.run.now())
	if wait <= 0 {
		return nil
	}
	if err := p.flush(); err != nil {
		return err
	}
	return pace.sleep(ctx, time.Duration(due-p.run.now()))
}

// takeCredit waits for room in the window, with everything gathered sent.
func (p *producer) takeCredit(ctx context.Context) error {
	if p.run.Window == 0 {
		return nil
	}
	select {
	case p.credit <- struct{}{}:
		return nil
	default:
	}
	if err := p.flush(); err != nil {
		return err
	}
	select {
	case p.credit <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// append adds the frame of the producer's message of that number: its flows take turns.
func (p *producer) append(number int, last bool, due int64) {
	turn := number % len(p.heads)
	p.run.seal.seal(p.body, uint32(p.id+turn*p.run.Producers), uint64(number/len(p.heads)), due)
	p.buf = append(p.buf, p.heads[turn]...)
	if p.run.Selected > 0 {
		p.buf = append(p.buf, selected+":"...)
		p.buf = strconv.AppendInt(p.buf, int64(number/len(p.heads)%p.run.Selected), 10)
		p.buf = append(p.buf, '\n')
	}
	if p.run.Window > 0 || last {
		if p.run.Window > 0 {
			p.sentAt[number%p.run.Window].Store(p.run.now())
		}
		p.buf = append(p.buf, "receipt:"...)
		p.buf = strconv.AppendInt(p.buf, int64(number), 10)
		p.buf = append(p.buf, '\n')
	}
	p.buf = append(p.buf, '\n')
	p.buf = append(p.buf, p.body...)
	p.buf = append(p.buf, 0)
}

func (p *producer) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	_, err := p.Write(p.buf)
	p.buf = p.buf[:0]
	return err
}
