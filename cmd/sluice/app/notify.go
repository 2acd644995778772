package app

import "net"

// notifier tells the service manager about the node's life (sd_notify). Without
// a socket it tells nobody.
type notifier struct{ socket string }

// say sends one state, such as "READY=1". Nobody depends on its arrival.
func (n notifier) say(state string) {
	if n.socket == "" {
		return
	}
	name := n.socket
	if name[0] == '@' {
		name = "\x00" + name[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}
