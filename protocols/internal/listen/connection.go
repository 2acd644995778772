package listen

import (
	"context"
	"io"
	"net"
	"runtime/debug"
	"time"
)

// admit starts the handler of a connection, or turns the connection away.
func (l *Listener) admit(ctx context.Context, c *net.TCPConn, handle func(context.Context, net.Conn)) {
	if !l.enter() {
		l.refuse(c)
		return
	}
	_ = c.SetNoDelay(true)
	l.done.Go(func() {
		defer l.leave()
		defer c.Close()
		defer context.AfterFunc(ctx, func() { _ = c.Close() })()
		defer l.survive(c)
		handle(ctx, c)
	})
}

// enter counts a connection in, unless there is no room.
func (l *Listener) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.MaxConnections > 0 && l.stats.Open >= l.cfg.MaxConnections {
		l.stats.Refused++
		return false
	}
	if l.stats.Open == 0 {
		l.idle = make(chan struct{})
	}
	l.stats.Open++
	l.stats.Accepted++
	return true
}

func (l *Listener) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stats.Open--; l.stats.Open == 0 {
		close(l.idle)
	}
}

// refuse closes a connection for which there is no room, and lets the door say
// so if not too many are being told already.
func (l *Listener) refuse(c *net.TCPConn) {
	select {
	case l.full <- struct{}{}:
	default:
		_ = c.Close()
		return
	}
	l.done.Go(func() {
		defer func() { <-l.full }()
		defer c.Close()
		defer l.survive(c)
		if l.cfg.Refuse == nil {
			return
		}
		_ = c.SetDeadline(time.Now().Add(refusalPeriod))
		l.cfg.Refuse(c)
		_ = c.CloseWrite()
		_, _ = io.CopyN(io.Discard, c, refusalDrain)
	})
}

// survive keeps a panic of one connection from ending the process.
func (l *Listener) survive(c net.Conn) {
	if r := recover(); r != nil {
		l.cfg.Logger.Error("a connection failed and was closed",
			"address", l.cfg.Address, "remote", c.RemoteAddr().String(), "panic", r, "stack", string(debug.Stack()))
	}
}
