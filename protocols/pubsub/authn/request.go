package authn

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/pubsub/carry"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// request is what a handler gets.
type request struct {
	*http.Request
	vars wire.Vars
	body []byte
	// by is the user who administers; nil for the service token.
	by *resource.User
	// conn is nil if the request did not come by a listener of ours.
	conn *carry.Conn
}

// id is that of the user who administers, empty for the service token.
func (r *request) id() string {
	if r.by == nil {
		return ""
	}
	return r.by.ID
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, h *http.Request) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			s.cfg.Logger.Error("a request failed for a fault of ours", "method", h.Method, "path", h.URL.Path, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			say(w, http.StatusInternalServerError, internal("", nil).encode())
		}
	}()
	route, vars, ok := s.router.Find(h.Method, h.URL.Path)
	if !ok {
		s.astray(w, h)
		return
	}
	ctx, cancel := context.WithTimeout(h.Context(), s.cfg.Patience)
	defer cancel()
	r := &request{Request: h.WithContext(ctx), vars: vars, conn: carry.From(h.Context())}
	if route.once { // who comes again shows his certificate again: it may be revoked by then
		w.Header().Set("Connection", "close")
	}
	answer, err := s.answer(w, r, route)
	if err != nil {
		p := s.problem(r, err)
		route.count(p.Code)
		say(w, p.Code, p.encode())
		return
	}
	route.count(route.code)
	say(w, route.code, wire.Encode(answer, wire.Narrow))
}

// astray answers what is no call: 405 if another method is one.
func (s *Server) astray(w http.ResponseWriter, h *http.Request) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		if _, _, ok := s.router.Find(method, h.URL.Path); ok {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
	}
	http.Error(w, "404 page not found", http.StatusNotFound)
}

// answer has a request judged and carried out.
func (s *Server) answer(w http.ResponseWriter, r *request, route *route) (any, error) {
	if !route.open {
		if !s.administrator(r) {
			return nil, unauthorized()
		}
		r.known()
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var long *http.MaxBytesError
		switch {
		case errors.As(err, &long):
			return nil, tooLarge()
		case err != nil:
			return nil, badJSON(err)
		}
		r.body = body
	}
	answer, err := route.serve(s, r)
	if !route.open && r.Method != http.MethodGet {
		s.audit(&gateway.Event{Kind: gateway.Administered, Principal: r.administrator(), Operation: r.Method + " " + r.URL.Path, Err: err}, r)
	}
	return answer, err
}

// known says that the client is somebody.
func (r *request) known() {
	if r.conn != nil {
		r.conn.LoggedIn()
	}
}

// administrator is who makes a call, as an audit has it.
func (r *request) administrator() gateway.Principal {
	p := gateway.Principal{Name: resource.NamePrefix, Method: resource.Method}
	if r.by != nil {
		p.Name += r.by.Name
	}
	return p
}

// administrator reports whether who asks may administer: he shows the service token, or that of a user who is service_admin, in the header or as key in the URL.
func (s *Server) administrator(r *request) bool {
	token := r.Header.Get("X-Api-Key")
	if token == "" {
		token = r.URL.Query().Get("key")
	}
	if token == "" {
		return false
	}
	sum := sha256.Sum256([]byte(token))
	if s.cfg.ServiceToken != "" && subtle.ConstantTimeCompare(sum[:], s.service[:]) == 1 {
		return true
	}
	r.by = s.cfg.Directory.UserByToken(r.Context(), token)
	return r.by != nil && r.by.Almighty()
}

// audit completes an event and has it written down.
func (s *Server) audit(e *gateway.Event, r *request) {
	if s.cfg.Auditor == nil {
		return
	}
	e.Protocol, e.Remote, e.Library = "authn/1", r.RemoteAddr, r.UserAgent()
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		e.Listener = at.String()
	}
	s.cfg.Auditor.Record(e)
}

// problem is what a client hears of an error, of which the log hears more.
func (s *Server) problem(r *request, err error) *problem {
	var p *problem
	if !errors.As(err, &p) {
		switch gateway.KindOf(err) {
		case gateway.Limit:
			p = tooLarge()
		case gateway.NoSpace, gateway.Unavailable:
			p = unavailable(err)
		default:
			p = internal("", err)
		}
	}
	if p.Code >= http.StatusInternalServerError && p.cause != nil {
		s.cfg.Logger.Warn("a request could not be carried out", "method", r.Method, "path", r.URL.Path, "remote", r.RemoteAddr, "code", p.Code, "error", p.cause)
	}
	return p
}

// say writes an answer.
func say(w http.ResponseWriter, code int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if code != http.StatusNoContent {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(code)
	if code != http.StatusNoContent {
		_, _ = w.Write(body) // who is gone does not hear it
	}
}
