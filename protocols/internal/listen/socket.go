package listen

import (
	"errors"
	"net"
	"net/netip"
)

// handshakeRecord is the first byte of every TLS connection. No text protocol begins with it.
const handshakeRecord = 0x16

// ErrOtherProtocol ends the reading of a client that speaks TLS to a plain port, or the other way round. The client was told.
var ErrOtherProtocol = errors.New("the client speaks TLS where this port does not, or the other way round")

// socket is a TCP connection whose first byte is looked at. Read is for one goroutine, like that of any door.
type socket struct {
	*net.TCPConn
	// ahead was read together with the header of the PROXY protocol.
	ahead []byte
	begun bool
	// tls: the client has to begin with a TLS handshake; else it must not.
	tls bool
	// other is called once for a client that does the contrary; it tells the client.
	other func()
	wrong bool
}

// peer is who has connected: the client, or a proxy.
func (s *socket) peer() netip.AddrPort {
	if a, ok := s.TCPConn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort()
	}
	return netip.AddrPort{}
}

func (s *socket) Read(p []byte) (n int, err error) {
	if s.wrong {
		return 0, ErrOtherProtocol
	}
	if len(s.ahead) > 0 {
		if n = copy(p, s.ahead); n == len(s.ahead) {
			s.ahead = nil
		} else {
			s.ahead = s.ahead[n:]
		}
	} else {
		n, err = s.TCPConn.Read(p)
	}
	if n > 0 && !s.begun {
		s.begun = true
		if (p[0] == handshakeRecord) != s.tls {
			s.wrong = true
			s.other()
			return 0, ErrOtherProtocol
		}
	}
	return n, err
}
