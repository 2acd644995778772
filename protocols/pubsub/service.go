package pubsub

import (
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// known reports whether somebody asks who is somebody, where nobody has to be.
func (s *Server) known(r *request) bool {
	r.caller.shown = s.credentials(r.Request)
	return !nothing(&r.caller.shown) && s.recognise(r) == nil
}

// status says how the service is.
func (s *Server) status(r *request) (any, error) {
	if r.yes("details") {
		// In this one call the service has the two codes the other way round.
		if !s.known(r) {
			return nil, wire.Forbidden("")
		}
		if !r.caller.may([]string{serviceAdmin, adminViewer}) {
			return nil, wire.Unauthorized()
		}
	}
	if s.cfg.Push == nil {
		return styled{wire.Status{Status: "ok", Push: "disabled"}, wire.Narrow}, nil
	}
	a := wire.Status{Status: "ok"}
	for _, node := range s.cfg.Push.Nodes() {
		a.Pushers = append(a.Pushers, wire.PushServer{Endpoint: node, Status: "SERVING"})
	}
	if len(a.Pushers) == 0 { // this node has lost the others
		a.Status = "warning"
	}
	return styled{a, wire.Narrow}, nil
}

// version says what runs, and its release to those who look after it.
func (s *Server) version(r *request) (any, error) {
	v := s.cfg.Version
	if !s.known(r) || r.caller.user == nil && !r.caller.guest || !r.caller.may([]string{serviceAdmin, adminViewer}) {
		v.Release = ""
	}
	return styled{v, wire.Narrow}, nil
}
