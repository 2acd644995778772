package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
)

// logTaker takes topics' logs, one after another: each with AddLog, and its messages with AddLogged. A log that is begun again has nothing of what was added before.
type logTaker interface {
	AddLog(topic string, first uint64) error
	AddLogged(m *gateway.Message) error
}

// logExport reads the logs of topics. The facts are noted first, and the logs read afterwards: so each log has come at least as far as anything that the facts say of it, and
// no subscription goes on behind its end. How far each is read is noted before any is, and a copy of a message that is not read is none any more: a route would take what has that
// message's offset one day for copied.
type logExport struct {
	logs   gateway.Logs
	topics []loggedTopic
	least  map[string]uint64 // by the log's ID: how far it has come, according to the facts
	ends   map[string]uint64 // and how far it is read
	// Messages are how many were read.
	messages uint64
}

type loggedTopic struct{ name, id string }

func newLogExport(logs gateway.Logs) *logExport {
	return &logExport{logs: logs, least: make(map[string]uint64), ends: make(map[string]uint64)}
}

// note takes note of a fact. Logs that are on their way into the store are not read.
func (x *logExport) note(key string, value []byte) {
	if log, offset, ok := resource.Place(key, value); ok {
		x.least[log] = max(x.least[log], offset)
	}
	topic, ok := strings.CutPrefix(key, gateway.LogKeys)
	var f gateway.LogFact
	if ok && !isUnfinished(topic) && json.Unmarshal(value, &f) == nil {
		x.topics = append(x.topics, loggedTopic{topic, f.ID})
	}
}

// run reads the logs as they are now.
func (x *logExport) run(ctx context.Context, to logTaker) error {
	for _, t := range x.topics {
		page, there, err := x.read(ctx, t, gateway.LogQuery{})
		if err != nil {
			return fmt.Errorf("the log of topic %s: %w", t.name, err)
		}
		if there {
			x.ends[t.id] = page.Next
		}
	}
	for _, t := range x.topics {
		if err := x.one(ctx, t, to); err != nil {
			return fmt.Errorf("the log of topic %s: %w", t.name, err)
		}
	}
	return nil
}

const (
	// exportMessages and exportBytes are how much of a log is read at once.
	exportMessages = 1000
	exportBytes    = 4 << 20
	// logPatience is how long a log may not be readable, as while the nodes agree on who leads it.
	logPatience = 30 * time.Second
)

// one reads a log, up to where it ended before. Of one that is gone meanwhile with its topic nothing is left but where it was: subscriptions go on from there if there is another one.
func (x *logExport) one(ctx context.Context, t loggedTopic, to logTaker) error {
	page, there, err := x.read(ctx, t, gateway.LogQuery{})
	if err != nil || !there {
		return err
	}
	at, end := page.First, max(page.First, x.ends[t.id])
	if err := to.AddLog(t.name, at); err != nil {
		return err
	}
	for began := time.Now(); at < end; {
		page, there, err := x.read(ctx, t, gateway.LogQuery{From: at, Messages: int(min(exportMessages, end-at)), Bytes: exportBytes})
		if err != nil {
			return err
		}
		if !there {
			return to.AddLog(t.name, end)
		}
		if page.At > at { // they became too old meanwhile
			at = page.At
			if err := to.AddLog(t.name, at); err != nil {
				return err
			}
		}
		for _, m := range page.Messages {
			if s := m.Source; s != nil && x.ends[s.Log] <= s.Offset {
				m = m.Copy() // which has none
			}
			if err := to.AddLogged(m); err != nil {
				return err
			}
			x.messages++
			at++
		}
		switch {
		case len(page.Messages) > 0:
			began = time.Now()
		case time.Since(began) > logPatience:
			return fmt.Errorf("no node has message %d", at)
		case at < end: // the node that was asked is behind
			if err := pause(ctx, lookEvery); err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads a part of a log, again while it cannot be read, or has not come as far as the facts say. there is false if the log is gone.
func (x *logExport) read(ctx context.Context, t loggedTopic, q gateway.LogQuery) (page gateway.LogPage, there bool, err error) {
	for began := time.Now(); ; {
		page, err = x.logs.Read(ctx, t.name, q)
		switch kind := gateway.KindOf(err); {
		case err == nil && page.Log != t.id, kind == gateway.NotFound:
			return page, false, nil
		case err == nil && page.Next >= x.least[t.id]:
			return page, true, nil
		case err == nil && time.Since(began) > logPatience:
			return page, false, fmt.Errorf("it ends at %d, but a subscription has come as far as %d", page.Next, x.least[t.id])
		case err != nil && (kind != gateway.Unavailable || time.Since(began) > logPatience):
			return page, false, err
		}
		if err := pause(ctx, lookEvery); err != nil {
			return page, false, err
		}
	}
}
