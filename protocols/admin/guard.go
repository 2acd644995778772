package admin

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// Guard says who may do what by this door. Without an Authenticator there are no operations here, and everybody may read the metrics.
type Guard struct {
	Authenticator gateway.Authenticator
	Authorizer    gateway.Authorizer
	// Auditor hears of operations and of who was refused; nil is nobody.
	Auditor gateway.Auditor
	// Judge tells whether a client's certificate is to be trusted; nil: none is asked for.
	Judge func(tls.ConnectionState) (*x509.Certificate, error)
}

// metrics is the operation of reading the metrics, as rules have it.
const metrics = "metrics"

// allowed serves those who may do an operation.
func (s *Server) allowed(operation string, serve func(w http.ResponseWriter, r *http.Request, c Call)) http.HandlerFunc {
	g := s.cfg.Guard
	return func(w http.ResponseWriter, r *http.Request) {
		if g.Authenticator == nil {
			serve(w, r, Call{Rights: nothing{}})
			return
		}
		login := s.login(r)
		who, err := g.Authenticator.Authenticate(r.Context(), login)
		event := gateway.Event{
			Principal: who, Protocol: login.Protocol, Remote: login.Remote, Listener: login.Listener, Library: login.Library,
			Operation: operation, Err: err,
		}
		if err != nil {
			event.Kind, event.Claimed = gateway.LoginRefused, login.Credentials.Login
			record(g.Auditor, &event)
			refuse(w, err)
			return
		}
		rights := g.Authorizer.Rights(who)
		if err := rights.Operate(operation); err != nil {
			event.Kind, event.Err = gateway.ActionDenied, err
			record(g.Auditor, &event)
			refuse(w, err)
			return
		}
		serve(w, r, Call{Principal: who, Rights: rights, still: func() (gateway.Rights, error) {
			now, err := g.Authenticator.Renew(who)
			if err != nil {
				return nil, err
			}
			return g.Authorizer.Rights(now), nil
		}})
	}
}

// login is what a request shows.
func (s *Server) login(r *http.Request) gateway.Login {
	l := gateway.Login{Protocol: "admin", Remote: r.RemoteAddr, Library: r.UserAgent()}
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		l.Listener = at.String()
	}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		l.Credentials.Token = strings.TrimSpace(token)
	}
	l.Credentials.Login, l.Credentials.Passcode, _ = r.BasicAuth()
	if r.TLS != nil && s.cfg.Guard.Judge != nil {
		l.Credentials.Certificate, l.Credentials.CertificateErr = s.cfg.Guard.Judge(*r.TLS)
	}
	return l
}

// refuse says why something is not possible.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	switch gateway.KindOf(err) {
	case gateway.Unauthenticated:
		w.Header().Set("WWW-Authenticate", `Basic realm="sluice", charset="UTF-8"`)
		w.Header().Add("WWW-Authenticate", `Bearer realm="sluice"`)
		status = http.StatusUnauthorized
	case gateway.Denied:
		status = http.StatusForbidden
	case gateway.Limit:
		status = http.StatusTooManyRequests
	case gateway.Unavailable:
		status = http.StatusServiceUnavailable
	}
	say(w, status, gateway.TextOf(err)+"\n")
}

// nothing are the rights of nobody.
type nothing struct{}

func (nothing) May(gateway.Action, gateway.Destination) error {
	return gateway.Errorf(gateway.Denied, "nobody is known here")
}
func (nothing) All(gateway.Action, gateway.Destination) bool { return false }
func (nothing) Operate(string) error {
	return gateway.Errorf(gateway.Denied, "nobody is known here")
}

// operate serves the operations, to whoever may do them. Pages of other origins cannot have a browser ask for them.
func (s *Server) operate(mux *http.ServeMux) {
	if s.cfg.Guard.Authenticator == nil {
		return
	}
	var origin http.CrossOriginProtection
	for _, o := range s.cfg.Operations {
		mux.Handle("POST "+operationsPath+o.Name, origin.Handler(s.allowed(o.Name, func(w http.ResponseWriter, r *http.Request, c Call) {
			_ = http.NewResponseController(w).SetReadDeadline(noDeadline)
			_ = http.NewResponseController(w).SetWriteDeadline(noDeadline)
			l := s.login(r)
			o.serve(w, r, c, s.cfg.Guard.Auditor, gateway.Event{Protocol: l.Protocol, Remote: l.Remote, Listener: l.Listener, Library: l.Library})
		})))
	}
}
