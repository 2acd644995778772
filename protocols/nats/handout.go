package nats

import (
	"errors"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/nats/leaf"
)

// redialAfter is how long it is waited before the next attempt to connect as a leaf node.
const redialAfter = 200 * time.Millisecond

// errNotConnected is the error of hand-outs while the leaf node is not connected.
var errNotConnected = errors.New("the connection that hands out messages is being made again")

// dial connects as a leaf node for the first time. If it succeeds, keepLeaf must run.
func (ws *workers) dial() error {
	c, err := leaf.Dial(ws.cfg.Leaf, ws.leafLost)
	if err != nil {
		return err
	}
	ws.leaf = c
	return nil
}

// leafLost is told when the connection has ended by itself. There is one connection at a time.
func (ws *workers) leafLost(err error) { ws.lost <- err }

// keepLeaf makes the connection again whenever it is lost, until stop is closed. If the server itself
// has gone the door hears that from its other connections.
func (ws *workers) keepLeaf() {
	defer close(ws.kept)
	for {
		select {
		case <-ws.stop:
			return
		case err := <-ws.lost:
			ws.cfg.Logger.Warn("the connection that hands out messages to native clients is lost, and made again", "error", err)
		}
		ws.dropLeaf()
		for {
			c, err := leaf.Dial(ws.cfg.Leaf, ws.leafLost)
			if err == nil {
				ws.takeLeaf(c)
				break
			}
			ws.cfg.Logger.Debug("the connection that hands out messages to native clients cannot be made", "error", err)
			select {
			case <-ws.stop:
				return
			case <-time.After(redialAfter):
			}
		}
	}
}

// dropLeaf gives back what was handed out by a lost connection and perhaps reached nobody. What the server
// had surely taken stays with the workers.
func (ws *workers) dropLeaf() {
	ws.mu.Lock()
	old := ws.leaf
	ws.leaf = nil
	taken := old.Taken()
	var unsure []*delivery
	for _, c := range ws.consumers {
		for _, d := range c.held {
			if d.leaf == old && d.place > taken {
				unsure = append(unsure, d)
			}
		}
	}
	for _, d := range unsure {
		d.pull.again(d.size)
		d.goBack(gateway.Return{Redelivered: true}, false)
	}
	ws.mu.Unlock()
	old.Close()
}

// takeLeaf goes on with another connection.
func (ws *workers) takeLeaf(c *leaf.Conn) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.leaf = c
	for _, conn := range ws.connections {
		for _, w := range conn.workers {
			w.wake()
		}
	}
}

// handOut sends a message. The lock is held.
func (ws *workers) handOut(m leaf.Message) error {
	if ws.leaf == nil {
		return errNotConnected
	}
	if err := ws.leaf.Send(m); err != nil {
		return err
	}
	if !ws.flush.Swap(true) {
		tell(ws.rouse)
	}
	return nil
}

// send sends a status. A client that does not get it waits for its heartbeat. The lock is held.
func (ws *workers) send(m leaf.Message) {
	if err := ws.handOut(m); err != nil {
		ws.cfg.Logger.Debug("a native client could not be told a status", "error", err)
	}
}

// sendOut has the server get what was written for clients. The lock is not held.
func (ws *workers) sendOut() {
	if !ws.flush.Swap(false) {
		return
	}
	ws.mu.Lock()
	c := ws.leaf
	ws.mu.Unlock()
	if c == nil {
		return
	}
	if err := c.Flush(); err != nil {
		ws.cfg.Logger.Debug("nothing can be handed to native clients", "error", err)
	}
}
