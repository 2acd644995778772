package pki

import (
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Server does TLS for a listener. Safe for concurrent use. It has no goroutine: whoever shakes hands looks at the files now and then.
type Server struct {
	*settings
	holdings atomic.Pointer[holdings]
	looked   atomic.Int64 // when the files were looked at, in Unix nanoseconds
	mu       sync.Mutex   // of the library
	library  *library
	broken   atomic.Pointer[[]error]
	ocsp     *responders
}

// New reads all files. What it cannot read is an error, but for single files of ClientCADir, which are reported and left out.
func New(c Config) (*Server, error) {
	set, err := c.settings()
	if err != nil {
		return nil, err
	}
	s := &Server{settings: set, library: newLibrary(set), ocsp: newResponders(set)}
	now := set.Now()
	h, errs := s.library.look(true, now)
	if err := s.library.missing(errs); err != nil {
		return nil, err
	}
	s.looked.Store(now.UnixNano())
	s.holdings.Store(h)
	s.broken.Store(s.library.broken())
	for _, err := range errs {
		s.OnError(err)
	}
	set.warn()
	return s, nil
}

// TLS returns a configuration for a listener; ask once for each, since it holds the keys of its session tickets. The caller may set NextProtos. After
// the handshake of every connection, resumed ones as well, Judge has to be asked.
func (s *Server) TLS() *tls.Config {
	return &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.current().pair, nil },
		ClientAuth:     s.clientAuth,
		MinVersion:     s.minVersion,
		CipherSuites:   slices.Clone(s.suites),
		Time:           s.Now,
		Renegotiation:  tls.RenegotiateNever,
	}
}

// Reload looks at all files now. It returns what cannot be read; what that said before stays in force, but a revocation list that has been taken out of the
// directory does not.
func (s *Server) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.look(true)...)
}

// current returns what is known, after a look at the files if the last one was long ago. One caller looks, the others do not wait for it.
func (s *Server) current() *holdings {
	now := s.Now()
	since := now.Sub(time.Unix(0, s.looked.Load()))
	if s.Refresh > 0 && (since >= s.Refresh || since < 0) && s.mu.TryLock() {
		defer s.mu.Unlock()
		for _, err := range s.look(false) {
			s.OnError(err)
		}
	}
	return s.holdings.Load()
}

// look reads what has changed, and says what is new and bad.
func (s *Server) look(thorough bool) []error {
	now := s.Now()
	h, errs := s.library.look(thorough, now)
	if h != nil {
		s.holdings.Store(h)
	}
	s.broken.Store(s.library.broken())
	s.looked.Store(now.UnixNano())
	return errs
}

// Expiry is until when something is good.
type Expiry struct {
	// Subject is whose it is: of a revocation list, its issuer's name.
	Subject string
	File    string
	// NotAfter is zero if it does not say.
	NotAfter time.Time
}

// Status is how the files stand.
type Status struct {
	// Certificate is the server's own.
	Certificate Expiry
	// Authorities are those who may sign clients; File is empty.
	Authorities []Expiry
	// CRLs are all revocation lists, by file.
	CRLs []Expiry
	// Broken is what could not be read at the last look; what it said before is in force.
	Broken []error
}

// Status looks at the files if the last look was long ago, and tells how they stand.
func (s *Server) Status() Status {
	h := s.current()
	st := Status{Certificate: Expiry{subject(h.pair.Leaf), s.Certificate, h.pair.Leaf.NotAfter}}
	for _, c := range h.trust.authorities {
		st.Authorities = append(st.Authorities, Expiry{Subject: subject(c), NotAfter: c.NotAfter})
	}
	for file, lists := range h.lists {
		for _, l := range lists {
			st.CRLs = append(st.CRLs, Expiry{words(l.issuer), file, l.until})
		}
	}
	st.Broken = slices.Clone(*s.broken.Load())
	slices.SortFunc(st.CRLs, func(a, b Expiry) int { return strings.Compare(a.File+a.Subject, b.File+b.Subject) })
	return st
}
