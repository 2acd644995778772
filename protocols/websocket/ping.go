package websocket

import (
	"context"
	"fmt"
	"time"
)

// watch asks a client of which nothing is heard whether it is still there. TCP's own probes do not tell
// when there is a proxy in between.
func (c *Conn) watch() {
	c.heard.Store(c.server.elapsed())
	c.pings.Lock()
	defer c.pings.Unlock()
	if !c.pings.over {
		c.pings.timer = time.AfterFunc(c.server.cfg.Ping, c.look)
	}
}

// unwatch ends the watching and waits until nothing of it runs.
func (c *Conn) unwatch() {
	c.pings.Lock()
	c.pings.over = true
	if c.pings.timer != nil {
		c.pings.timer.Stop()
	}
	c.pings.Unlock()
	c.pings.running.Wait()
}

// look is what the timer calls.
func (c *Conn) look() {
	c.pings.Lock()
	if c.pings.over {
		c.pings.Unlock()
		return
	}
	c.pings.running.Add(1)
	c.pings.Unlock()
	next := c.ask()
	c.pings.running.Done()
	c.pings.Lock()
	defer c.pings.Unlock()
	if !c.pings.over && next > 0 {
		c.pings.timer.Reset(next)
	}
}

// ask pings a silent client, if anybody listens to it, and returns when to look again; 0 is never.
func (c *Conn) ask() time.Duration {
	every := c.server.cfg.Ping
	heard, reading := c.heard.Load(), c.reading.Load()
	silent := time.Duration(c.server.elapsed() - max(heard, reading))
	switch {
	case reading == 0: // it is us who do not listen
		return every
	case silent < every:
		return every - silent
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.server.cfg.Silence)
	defer cancel()
	err := c.ws.Ping(ctx)
	if err == nil {
		return every
	}
	if c.heard.Load() != heard || c.reading.Load() != reading {
		return every // it said something else, or we stopped listening
	}
	c.server.listener.TurnedAway("a client of a WebSocket is gone", c.nc.RemoteAddr(), fmt.Errorf("it does not answer a ping: %w", err))
	_ = c.Close()
	return 0
}
