package pubsub

import (
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// status says how the service is.
func (s *Server) status(r *request) (any, error) {
	if r.URL.Query().Get("details") == "true" {
		// In this one call the service has the two codes the other way round.
		token := s.token(r.Request)
		if token == "" || !s.recognise(r, token) {
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
	token := s.token(r.Request)
	if token == "" || !s.recognise(r, token) || r.caller.user == nil || !r.caller.may([]string{serviceAdmin, adminViewer}) {
		v.Release = ""
	}
	return styled{v, wire.Narrow}, nil
}
