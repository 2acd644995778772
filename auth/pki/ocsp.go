package pki

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ocsp"
	"golang.org/x/sync/singleflight"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// maxAnswer is the longest answer of a responder, in bytes, and maxAnswers how many are remembered.
	maxAnswer  = 64 << 10
	maxAnswers = 10_000
	// maxAsking is how many questions are under way at once; further ones wait.
	maxAsking = 16
	// silence is how long a responder that gave no usable answer is not asked again.
	silence = 10 * time.Second
	// briefly is how long an answer is good for that does not say.
	briefly = time.Minute
	// maxAge is how old such an answer may be.
	maxAge = 24 * time.Hour
)

// responders asks OCSP responders and remembers what they said. Safe for concurrent use.
type responders struct {
	*settings
	client  *http.Client
	flights singleflight.Group
	slots   chan struct{}

	mu      sync.Mutex
	answers map[string]answer
}

// answer is what is known of a certificate for a while.
type answer struct {
	status int // of package ocsp, if err is nil
	err    error
	until  time.Time
}

func newResponders(s *settings) *responders {
	return &responders{
		settings: s, slots: make(chan struct{}, maxAsking), answers: map[string]answer{},
		client: &http.Client{
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// check returns an error if a certificate must not be trusted by what its responder says, or by its silence.
func (r *responders) check(who string, c, issuer *x509.Certificate) error {
	if len(c.OCSPServer) == 0 {
		if r.OCSP == OCSPRequired {
			return gateway.Errorf(gateway.Unauthenticated, "%s names no OCSP responder, and this server has to ask one", who)
		}
		return nil
	}
	a := r.ask(c, issuer)
	switch {
	case a.err != nil && r.OCSP == OCSPRequired:
		return gateway.WrapError(gateway.Unavailable, a.err, "the OCSP responder of "+subject(issuer)+" cannot be asked now")
	case a.err != nil || a.status == ocsp.Good:
		return nil
	case a.status == ocsp.Revoked:
		return gateway.WrapError(gateway.Unauthenticated, ErrRevoked, who+" has been revoked")
	}
	return gateway.Errorf(gateway.Unauthenticated, "%s is not known to the OCSP responder of %s", who, subject(issuer))
}

// ask returns what is remembered of a certificate, or asks for it; several who want to know the same ask once.
func (r *responders) ask(c, issuer *x509.Certificate) answer {
	sum := sha256.Sum256(slices.Concat(issuer.RawSubject, issuer.RawSubjectPublicKeyInfo))
	key := string(sum[:]) + serial(c.SerialNumber)
	if a, ok := r.remembered(key); ok {
		return a
	}
	v, _, _ := r.flights.Do(key, func() (any, error) {
		if a, ok := r.remembered(key); ok {
			return a, nil
		}
		a := r.fetch(c, issuer)
		if a.err != nil {
			a.until = r.Now().Add(silence)
			r.Log.Warn("an OCSP responder gave no usable answer", "certificate", subject(c), "responder", c.OCSPServer[0], "error", a.err)
		}
		r.remember(key, a)
		return a, nil
	})
	return v.(answer)
}

func (r *responders) remembered(key string) (answer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok := r.answers[key]
	return a, ok && r.Now().Before(a.until)
}

// remember keeps an answer. When there are too many, those go that are worth nothing any more, or else any.
func (r *responders) remember(key string, a answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Now()
	if len(r.answers) >= maxAnswers {
		for k, old := range r.answers {
			if !now.Before(old.until) {
				delete(r.answers, k)
			}
		}
	}
	for k := range r.answers {
		if len(r.answers) < maxAnswers {
			break
		}
		delete(r.answers, k)
	}
	r.answers[key] = a
}

// fetch asks the responders that a certificate names, two at most, one after the other.
func (r *responders) fetch(c, issuer *x509.Certificate) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), r.OCSPTimeout)
	defer cancel()
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return answer{err: errors.New("too many certificates are being asked for")}
	}
	question, err := ocsp.CreateRequest(c, issuer, nil)
	if err != nil {
		return answer{err: err}
	}
	for _, address := range c.OCSPServer[:min(len(c.OCSPServer), 2)] {
		if a = r.fetchFrom(ctx, address, question, c, issuer); a.err == nil {
			return a
		}
	}
	return a
}

func (r *responders) fetchFrom(ctx context.Context, address string, question []byte, c, issuer *x509.Certificate) answer {
	if u, err := url.Parse(address); err != nil || len(address) > 1024 || u.Scheme != "http" && u.Scheme != "https" {
		return answer{err: errors.New("the address of the responder is not one of HTTP")}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(question))
	if err != nil {
		return answer{err: err}
	}
	request.Header.Set("Content-Type", "application/ocsp-request")
	response, err := r.client.Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return answer{err: fmt.Errorf("the responder answers %s", response.Status)}
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return answer{err: err}
	}
	if len(text) > maxAnswer {
		return answer{err: fmt.Errorf("the answer is longer than %d bytes", maxAnswer)}
	}
	return r.believe(text, c, issuer)
}

// believe reads an answer and looks who has signed it, and when.
func (r *responders) believe(text []byte, c, issuer *x509.Certificate) answer {
	o, err := ocsp.ParseResponseForCert(text, c, issuer)
	if err != nil {
		return answer{err: err}
	}
	now := r.Now()
	if by := o.Certificate; by != nil && !bytes.Equal(by.Raw, issuer.Raw) {
		if !slices.Contains(by.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
			return answer{err: errors.New("the answer is signed by somebody who may not sign answers")}
		}
		if now.Before(by.NotBefore) || now.After(by.NotAfter) {
			return answer{err: errors.New("the certificate of the responder is not valid now")}
		}
	}
	until := o.NextUpdate
	if until.IsZero() {
		if now.Sub(o.ThisUpdate) > maxAge {
			return answer{err: fmt.Errorf("the answer is of %s and does not say how long it is good", stamp(o.ThisUpdate))}
		}
		until = now.Add(briefly)
	}
	switch {
	case o.ThisUpdate.After(now.Add(clockSkew)):
		return answer{err: fmt.Errorf("the answer is not valid before %s", stamp(o.ThisUpdate))}
	case !now.Before(until):
		return answer{err: fmt.Errorf("the answer has expired at %s", stamp(until))}
	}
	return answer{status: o.Status, until: until}
}
