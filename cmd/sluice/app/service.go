package app

import (
	"fmt"
	"strconv"
)

// The last digits of a service's ports; see Service.
const (
	servicePlain     = 13
	serviceTLS       = 23
	serviceWebSocket = 33
	serviceBase      = 60000
	maxCode          = 55
)

// expand makes listeners of the service section. They take the place of the default STOMP listener, if no listeners were
// given. The WebSocket listener has TLS if the service has.
func (c *Config) expand(given bool) {
	s := c.Service
	if s == nil {
		return
	}
	base, err := s.base()
	if err != nil {
		return // Validate says so
	}
	if !given {
		kept := c.Listeners[:0:0]
		for _, l := range c.Listeners {
			if l.Protocol != Stomp {
				kept = append(kept, l)
			}
		}
		c.Listeners = kept
	}
	at := func(port int) Address { return Address{s.Host, uint16(base + port)} }
	c.Listeners = append(c.Listeners, Listener{Protocol: Stomp, Address: at(servicePlain)})
	if s.TLS != nil {
		c.Listeners = append(c.Listeners, Listener{Protocol: Stomp, Address: at(serviceTLS), TLS: s.TLS})
	}
	c.Listeners = append(c.Listeners, Listener{Protocol: WebSocket, Address: at(serviceWebSocket), TLS: s.TLS, Origins: s.Origins})
}

// base is what the ports of the service begin with.
func (s *Service) base() (int, error) {
	n, err := strconv.Atoi(s.Code)
	if err != nil || len(s.Code) != 2 || n < 0 || n > maxCode {
		return 0, fmt.Errorf("%q is not a code of two digits, 00 to %d", s.Code, maxCode)
	}
	return serviceBase + 100*n, nil
}
