package pkitest

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Responder answers OCSP requests for one authority on loopback, each with what it is told to. Safe for concurrent use.
type Responder struct {
	ca     *CA
	server *http.Server
	url    string
	closed chan struct{}

	mu       sync.Mutex
	signer   *Pair
	revoked  map[string]bool
	validity time.Duration
	answer   func(w http.ResponseWriter, request []byte) bool
	asked    int
}

// NewResponder starts a responder whose answers the authority itself signs and that are valid for an hour.
func NewResponder(ca *CA) (*Responder, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("pkitest: listen: %w", err)
	}
	r := &Responder{ca: ca, url: "http://" + l.Addr().String(), closed: make(chan struct{}), revoked: map[string]bool{}, validity: time.Hour}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(r.closed)
		_ = r.server.Serve(l)
	}()
	return r, nil
}

// URL is where it listens.
func (r *Responder) URL() string { return r.url }

// Close stops it; what it is answering is broken off.
func (r *Responder) Close() error {
	err := r.server.Close()
	<-r.closed
	return err
}

// Revoke has it say from now on that a certificate is revoked.
func (r *Responder) Revoke(serial *big.Int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.revoked[serial.String()] = true
}

// SignWith has answers signed by somebody else whose certificate is put into them; nil: by the authority.
func (r *Responder) SignWith(p *Pair) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.signer = p
}

// ValidFor is how long answers are valid from now on; negative: they have expired, zero: they do not say.
func (r *Responder) ValidFor(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.validity = d
}

// Instead has a function answer; false lets the responder do it. nil takes the function away.
func (r *Responder) Instead(f func(w http.ResponseWriter, request []byte) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

// Asked is how many requests have come.
func (r *Responder) Asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}

// ServeHTTP implements http.Handler.
func (r *Responder) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(io.LimitReader(request.Body, 64<<10))
	if err != nil {
		return
	}
	r.mu.Lock()
	r.asked++
	instead := r.answer
	r.mu.Unlock()
	if instead != nil && instead(w, body) {
		return
	}
	answer, err := r.respond(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	_, _ = w.Write(answer)
}

func (r *Responder) respond(body []byte) ([]byte, error) {
	q, err := ocsp.ParseRequest(body)
	if err != nil {
		return nil, errors.New("this is no request")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	t := ocsp.Response{Status: ocsp.Good, SerialNumber: q.SerialNumber, ThisUpdate: now.Add(-2 * time.Hour), NextUpdate: now.Add(r.validity), IssuerHash: q.HashAlgorithm}
	if r.validity == 0 {
		t.NextUpdate = time.Time{}
	}
	if r.revoked[q.SerialNumber.String()] {
		t.Status, t.RevokedAt = ocsp.Revoked, now.Add(-time.Minute)
	}
	by := &r.ca.Pair
	if r.signer != nil {
		by = r.signer
		t.Certificate = by.Cert
	}
	return ocsp.CreateResponse(r.ca.Cert, by.Cert, t, by.Key)
}
