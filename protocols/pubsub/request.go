package pubsub

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/internal/budget"
	"github.com/sluice-mq/sluice/protocols/pubsub/carry"
	"github.com/sluice-mq/sluice/protocols/pubsub/resource"
	"github.com/sluice-mq/sluice/protocols/pubsub/wire"
)

// request is what a handler gets.
type request struct {
	*http.Request
	vars   wire.Vars
	caller caller
	// project is nil for routes without one.
	project *resource.Project
	body    []byte
	began   time.Time
	// share is what its answer takes of the memory for answers; nil: nothing that counts.
	share *budget.Share
}

// styled is an answer in another style than usual.
type styled struct {
	answer any
	style  wire.Style
}

// encoded is an answer that is written as it is.
type encoded []byte

// topic and subscription are what the path names.
func (r *request) topic() resource.Name {
	return resource.Name{Project: r.project.Name, Name: r.vars.Get("topic")}
}
func (r *request) subscription() resource.Name {
	return resource.Name{Project: r.project.Name, Name: r.vars.Get("subscription")}
}

// yes reports whether a parameter of the URL is true. The service's own library writes True.
func (r *request) yes(name string) bool { return strings.EqualFold(r.URL.Query().Get(name), "true") }

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, h *http.Request) {
	defer s.survive(w, h)
	if s.preflight(w, h) {
		return
	}
	route, vars, ok := s.router.Find(h.Method, h.URL.Path)
	if !ok {
		s.passOver(h)
		http.Error(w, "404 page not found", http.StatusNotFound)
		return
	}
	r := &request{Request: h, vars: vars, began: time.Now()}
	defer func() {
		if r.share != nil {
			r.share.Keep(0)
		}
	}()
	answer, err := s.answer(w, r, route)
	if err != nil {
		route.count(s.refuse(w, r, err))
		return
	}
	route.count(http.StatusOK)
	style := wire.Usual
	switch a := answer.(type) {
	case nil:
		s.say(w, http.StatusOK, nil)
		return
	case encoded:
		s.say(w, http.StatusOK, a)
		return
	case styled:
		answer, style = a.answer, a.style
	}
	s.say(w, http.StatusOK, wire.Encode(answer, style))
}

// survive answers a request that failed for a fault of ours.
func (s *Server) survive(w http.ResponseWriter, h *http.Request) {
	p := recover()
	if p == nil {
		return
	}
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.cfg.Logger.Error("a request failed for a fault of ours", "method", h.Method, "path", shown(h.URL.Path), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	s.say(w, http.StatusInternalServerError, wire.Internal("Internal error", nil).Encode())
}

// answer has a request judged, in the service's order, and carried out.
func (s *Server) answer(w http.ResponseWriter, r *request, route *route) (answer any, err error) {
	if p := r.vars.Invalid(); p != nil {
		return nil, p
	}
	if !route.open {
		if err := s.timed(r, 0, func() error { return s.admit(r, route) }, http.StatusNotFound, http.StatusUnauthorized); err != nil {
			return nil, err
		}
		if c := carry.From(r.Context()); c != nil {
			c.LoggedIn()
		}
	}
	if r.Method != http.MethodGet {
		most := int64(smallRequest)
		if route.large {
			most = s.terms.Load().maxRequest
		}
		release, err := s.read(w, r, most)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	err = s.timed(r, route.waits, func() (err error) {
		answer, err = route.serve(s, r)
		return err
	}, http.StatusNotFound)
	return answer, err
}

// timed does something with a request whose context ends when the store has had its time, and more. Whoever was not found by then may be there: where the
// answer is one of the unsure codes, the client hears that it may come again.
func (s *Server) timed(r *request, more time.Duration, do func() error, unsure ...int) error {
	whole := r.Request
	ctx, cancel := context.WithTimeout(whole.Context(), s.cfg.Patience+more)
	defer cancel()
	r.Request = whole.WithContext(ctx)
	defer func() { r.Request = whole }()
	err := do()
	if err == nil || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return err
	}
	var p *wire.Problem
	if errors.As(err, &p) && !slices.Contains(unsure, p.Code) {
		return err
	}
	return wire.Unavailable(err)
}

// admit finds out who asks and whether he may.
func (s *Server) admit(r *request, route *route) error {
	if r.caller.shown = s.credentials(r.Request); nothing(&r.caller.shown) {
		return wire.Unauthorized()
	}
	if name := r.vars.Get("project"); name != "" && (r.Method != http.MethodPost || len(r.vars) > 1) {
		if r.project = s.cfg.Directory.Project(r.Context(), name); r.project == nil {
			return wire.NotFoundText("project doesn't exist")
		}
	}
	if err := s.recognise(r); err != nil {
		return err
	}
	switch {
	case route.roles == nil:
	case len(r.caller.roles) == 0:
		return wire.Unauthorized()
	case !r.caller.may(route.roles):
		return wire.Forbidden("")
	}
	return nil
}

// token is what a request shows.
func (s *Server) token(h *http.Request) (token string) {
	keys := s.terms.Load().Keys
	if keys != InURL {
		token = h.Header.Get("X-Api-Key")
	}
	if token == "" && keys != InHeader {
		token = h.URL.Query().Get("key")
	}
	return token
}

// recognise finds out who shows what was shown; the error is for the client.
func (s *Server) recognise(r *request) error {
	token := r.caller.shown.Token
	sum := sha256.Sum256([]byte(token))
	if s.terms.Load().isService(sum) {
		r.caller.everywhere(serviceAdmin, almighty)
		return nil
	}
	u := s.cfg.Directory.UserByToken(r.Context(), token)
	if u == nil {
		if err := s.welcome(r); gateway.KindOf(err) == gateway.Unavailable && err != nil {
			return wire.Unavailable(err)
		} else if err != nil {
			return wire.Unauthorized()
		}
		return nil
	}
	r.caller.user = u
	r.caller.everywhere(u.ServiceRoles...)
	if r.project != nil {
		r.caller.roles = append(r.caller.roles, u.Roles(r.project)...)
	}
	return nil
}

// refuse says why a request was not carried out, and returns the code.
func (s *Server) refuse(w http.ResponseWriter, r *request, err error) int {
	var p *wire.Problem
	if !errors.As(err, &p) {
		p = problem(err)
	}
	if p.Code >= http.StatusInternalServerError && p.Cause != nil {
		s.cfg.Logger.Warn("a request could not be carried out", "method", r.Method, "path", shown(r.URL.Path), "remote", r.RemoteAddr, "code", p.Code, "error", p.Cause)
	}
	s.passOver(r.Request)
	s.say(w, p.Code, p.Encode())
	return p.Code
}

// shown is a path as it may be logged: without a token.
func shown(path string) string {
	before, _, secret := strings.Cut(path, ":byToken/")
	if secret {
		return before + ":byToken/..."
	}
	return path
}

// problem is what a client hears of an error of the broker or the directory that its handler had no words for.
func problem(err error) *wire.Problem {
	switch gateway.KindOf(err) {
	case gateway.Invalid:
		return wire.Invalid(gateway.TextOf(err))
	case gateway.Unauthenticated:
		return wire.Unauthorized()
	case gateway.Denied:
		return wire.Forbidden("")
	case gateway.NotFound:
		return wire.NotFoundText(gateway.TextOf(err))
	case gateway.Conflict:
		return wire.Conflict(gateway.TextOf(err))
	case gateway.Limit, gateway.NoSpace, gateway.Unavailable, gateway.Moved:
		return wire.Unavailable(err)
	case gateway.Internal:
	}
	return wire.Internal("Backend Error", err)
}

// say writes an answer, for which the client has its time.
func (s *Server) say(w http.ResponseWriter, code int, body []byte) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.within(len(body)))) // else the whole request's counts
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // who is gone does not hear it
}

// preflight answers browsers that ask what they may do, and lets pages of all origins read answers: nobody is known by a cookie here.
func (s *Server) preflight(w http.ResponseWriter, h *http.Request) bool {
	if h.Header.Get("Origin") == "" {
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if h.Method != http.MethodOptions || h.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	w.Header().Set("Access-Control-Allow-Methods", strings.Join([]string{"OPTIONS", "POST", "GET", "PUT", "DELETE", "HEAD"}, ", "))
	w.Header().Set("Access-Control-Allow-Headers", "X-Requested-With, Content-Type, x-api-key, Authorization")
	w.WriteHeader(http.StatusOK)
	return true
}

// login is what a request tells the broker of its client.
func (r *request) login() gateway.Login {
	l := gateway.Login{Credentials: r.caller.shown, Protocol: "pubsub/1", Remote: r.RemoteAddr, Library: r.UserAgent()}
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		l.Listener = at.String()
	}
	return l
}
