package lease

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// question is what somebody wants of a subscription's leases, as one node asks another. Its fields are spoken between builds of different versions.
type question struct {
	Project      string `json:"project"`
	Subscription string `json:"subscription"`
	ID           string `json:"id"`
	// Generation is the cursor's, as whoever asks knows it: who moved it finds it moved.
	Generation uint64 `json:"generation"`
	// Most messages are wanted, within a time; or AckIDs are acknowledged, or with Extend given another deadline.
	Most     int           `json:"most,omitempty"`
	Wait     time.Duration `json:"wait,omitempty"`
	AckIDs   []string      `json:"ack_ids,omitempty"`
	Extend   bool          `json:"extend,omitempty"`
	Deadline time.Duration `json:"deadline,omitempty"`
	// Untaken: they come back as if they had not been handed out.
	Untaken bool `json:"untaken,omitempty"`
}

// reply answers a question.
type reply struct {
	Received []wire.Received `json:"received,omitempty"`
	// Faults are those of AckIDs, empty where nothing is wrong.
	Faults []string `json:"faults,omitempty"`
	// Failed: Kind and Text are an error.
	Failed bool              `json:"failed,omitempty"`
	Kind   gateway.ErrorKind `json:"kind,omitempty"`
	Text   string            `json:"text,omitempty"`
}

// relayedMost is how many messages another node hands out at once.
const relayedMost = 1000

// Pull hands out up to most messages of a subscription, each to be acknowledged within its deadline. While there are none it waits so long. Errors: NotFound, if the
// subscription or its topic is gone; Unavailable.
func (k *Keeper) Pull(ctx context.Context, sub *resource.Subscription, of *resource.Topic, most int, wait time.Duration) ([]wire.Received, error) {
	r, err := k.carryOut(ctx, sub, of, &question{Most: most, Wait: wait, Deadline: time.Duration(sub.Deadline) * time.Second})
	return r.Received, err
}

// Acknowledge acknowledges deliveries for good. It returns what is wrong with some of them: the others are acknowledged. Those that are none of the subscription's
// must not be among them, see Unknown. Errors as for Pull.
func (k *Keeper) Acknowledge(ctx context.Context, sub *resource.Subscription, of *resource.Topic, ids []string) ([]wire.AckFault, error) {
	r, err := k.carryOut(ctx, sub, of, &question{AckIDs: ids})
	return faultsOf(ids, r.Faults), err
}

// Extend has the deadlines of deliveries be so far from now; 0 gives them back. It returns what Acknowledge does.
func (k *Keeper) Extend(ctx context.Context, sub *resource.Subscription, of *resource.Topic, ids []string, deadline time.Duration) ([]wire.AckFault, error) {
	r, err := k.carryOut(ctx, sub, of, &question{AckIDs: ids, Extend: true, Deadline: deadline})
	return faultsOf(ids, r.Faults), err
}

// Return gives deliveries back that nobody has got: they were not handed out. Those of an ordering key bring those behind them along. Errors as for Pull.
func (k *Keeper) Return(ctx context.Context, sub *resource.Subscription, of *resource.Topic, ids []string) error {
	_, err := k.carryOut(ctx, sub, of, &question{AckIDs: ids, Extend: true, Untaken: true})
	return err
}

// Unknown are those of the ack ids that are none of a subscription's.
func Unknown(sub *resource.Subscription, ids []string) (faults []wire.AckFault) {
	for _, id := range ids {
		if _, ok := readDelivery(id, sub.Lease.Secret, sub.ID); !ok {
			faults = append(faults, wire.AckFault{AckID: id, Reason: wire.FaultUnknown})
		}
	}
	return faults
}

func faultsOf(ids, reasons []string) (faults []wire.AckFault) {
	for i, reason := range reasons {
		if reason != "" && i < len(ids) {
			faults = append(faults, wire.AckFault{AckID: ids[i], Reason: reason})
		}
	}
	return faults
}

// carryOut asks the node that keeps the leases, again if that is another one meanwhile.
func (k *Keeper) carryOut(ctx context.Context, sub *resource.Subscription, of *resource.Topic, q *question) (*reply, error) {
	q.Project, q.Subscription, q.ID = sub.Project, sub.Name.Name, sub.ID
	until := k.cfg.Now().Add(q.Wait)
	for {
		r, err := k.once(ctx, sub, of, q)
		if err == nil || gateway.KindOf(err) != gateway.Moved {
			return r, err
		}
		select {
		case <-time.After(againAfter):
		case <-ctx.Done():
			return &reply{}, gateway.WrapError(gateway.Unavailable, ctx.Err(), "nobody has the subscription's leases now")
		}
		c, there := k.cfg.Directory.Standing(sub, of)
		if !there {
			return &reply{}, gateway.Errorf(gateway.NotFound, "the subscription or its topic is gone")
		}
		if q.Generation = c.Generation; q.Wait > 0 {
			q.Wait = max(until.Sub(k.cfg.Now()), time.Millisecond)
		}
	}
}

func (k *Keeper) once(ctx context.Context, sub *resource.Subscription, of *resource.Topic, q *question) (*reply, error) {
	leader, err := k.leader(sub, of)
	if err != nil {
		return &reply{}, err
	}
	if leader == k.cfg.Node {
		return k.here(ctx, sub, of, q)
	}
	if k.cfg.Others == nil {
		return &reply{}, errMoved
	}
	c, _ := k.cfg.Directory.Standing(sub, of)
	asked := *q
	asked.Generation, asked.Most = c.Generation, min(q.Most, relayedMost)
	return k.elsewhere(ctx, leader, &asked)
}

// here answers for a subscription that this node leads.
func (k *Keeper) here(ctx context.Context, sub *resource.Subscription, of *resource.Topic, q *question) (*reply, error) {
	b, err := k.bookOf(ctx, sub, of)
	if err != nil {
		return &reply{}, err
	}
	r := &reply{}
	if len(q.AckIDs) == 0 {
		r.Received, err = b.pull(ctx, q.Most, q.Wait, q.Deadline)
		return r, err
	}
	all := make([]delivery, len(q.AckIDs))
	for i, id := range q.AckIDs {
		all[i], _ = readDelivery(id, sub.Lease.Secret, sub.ID) // one that cannot be read is none that there is
	}
	if q.Extend {
		r.Faults, err = b.extend(all, q.Deadline, q.Untaken)
	} else {
		r.Faults, err = b.acknowledge(ctx, all)
	}
	return r, err
}

// elsewhere asks another node, as long as it is there.
func (k *Keeper) elsewhere(ctx context.Context, node string, q *question) (*reply, error) {
	text, err := json.Marshal(q)
	if err != nil {
		return &reply{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		text []byte
		err  error
	}
	answered := make(chan outcome, 1)
	go func() { // it ends with ctx, at the latest; waited for below
		text, err := k.cfg.Others.Ask(ctx, node, text)
		answered <- outcome{text, err}
	}()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	gone := false
	for {
		select {
		case o := <-answered:
			if gone {
				return &reply{}, errMoved
			}
			if o.err != nil {
				return &reply{}, o.err
			}
			return heard(o.text)
		case <-look.C:
			if !gone && !slices.Contains(k.cfg.Nodes(), node) {
				gone = true
				cancel()
			}
		}
	}
}

// heard reads another node's reply.
func heard(text []byte) (*reply, error) {
	var r reply
	if err := json.Unmarshal(text, &r); err != nil {
		return &reply{}, gateway.WrapError(gateway.Unavailable, err, "another node cannot be understood")
	}
	if r.Failed {
		return &reply{}, gateway.Errorf(r.Kind, "%s", r.Text)
	}
	return &r, nil
}

// answer answers another node's question.
func (k *Keeper) answer(ctx context.Context, text []byte) []byte {
	r, err := k.asked(ctx, text)
	if err != nil {
		r = &reply{Failed: true, Kind: gateway.KindOf(err), Text: gateway.TextOf(err)}
	}
	text, err = json.Marshal(r)
	if err != nil { // nothing in it can fail
		return nil
	}
	return text
}

func (k *Keeper) asked(ctx context.Context, text []byte) (*reply, error) {
	var q question
	if err := json.Unmarshal(text, &q); err != nil {
		return nil, gateway.WrapError(gateway.Invalid, err, "the question is not understood")
	}
	ctx, cancel := context.WithTimeout(ctx, q.Wait+k.cfg.Patience)
	defer cancel()
	sub, of, err := k.find(ctx, &q)
	if err != nil {
		return nil, err
	}
	leader, err := k.leader(sub, of)
	if err != nil {
		return nil, err
	}
	if leader != k.cfg.Node {
		return nil, errMoved
	}
	return k.here(ctx, sub, of, &q)
}

// find finds the subscription of a question, which may have been made, or moved, a moment ago.
func (k *Keeper) find(ctx context.Context, q *question) (*resource.Subscription, *resource.Topic, error) {
	d := k.cfg.Directory
	for looked := false; ; looked = true {
		sub := d.Subscription(ctx, resource.Name{Project: q.Project, Name: q.Subscription})
		if sub != nil && sub.ID == q.ID && sub.Lease != nil {
			of := d.Topic(ctx, resource.Name{Project: q.Project, Name: sub.Topic})
			if of != nil {
				if c, _ := d.Standing(sub, of); c.Generation >= q.Generation || looked {
					return sub, of, nil
				}
			}
		}
		if looked {
			return nil, nil, gateway.Errorf(gateway.NotFound, "the subscription or its topic is gone")
		}
		if err := d.Look(ctx); err != nil {
			return nil, nil, gateway.WrapError(gateway.Unavailable, err, "the registry cannot be read now")
		}
	}
}
