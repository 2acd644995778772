package push

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// dialTime and handshakeTime are parts of a push's timeout.
	dialTime      = 10 * time.Second
	handshakeTime = 10 * time.Second
	idleTime      = 30 * time.Second
	// Of an answer so much is read.
	mostHead = 16 << 10
	mostBody = 16 << 10
	// mostSaid is how much of it is shown to the subscription's administrators.
	mostSaid = 200
	// mostURL is how long an endpoint's URL may be.
	mostURL = 2048
)

// ValidEndpoint reports whether something can be the URL of an endpoint.
func ValidEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= mostURL && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Fragment == "" && u.Opaque == ""
}

// fault says why a push or a verification did not succeed. Its text is for the administrators of the subscription: it says nothing of the inside of the nodes' networks.
type fault struct {
	text  string
	cause error
}

// Error implements error.
func (f *fault) Error() string { return f.text }

// Unwrap returns the cause, for the log.
func (f *fault) Unwrap() error { return f.cause }

// faultOf finds words for what went wrong on the way to an endpoint.
func faultOf(err error) *fault {
	var certificate *tls.CertificateVerificationError
	var name *net.DNSError
	var late net.Error
	text := "the endpoint cannot be reached"
	switch {
	case errors.Is(err, errAddress):
		text = "the address of the endpoint is not allowed"
	case errors.As(err, &certificate):
		text = "the certificate of the endpoint is not trusted"
	case errors.As(err, &name) && !name.IsTimeout:
		text = "the name of the endpoint cannot be resolved"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		text = "the endpoint does not answer in time"
	}
	return &fault{text, err}
}

// newClient makes a client that connects to what a guard permits, and nowhere else: it follows no redirect, asks no proxy, and unpacks nothing.
func newClient(g *guard, trust *tls.Config) *http.Client {
	dialer := &net.Dialer{Timeout: dialTime, KeepAlive: 15 * time.Second, Control: g.control}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if trust != nil {
		cfg = trust.Clone()
		cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSClientConfig:        cfg,
			TLSHandshakeTimeout:    handshakeTime,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    4,
			IdleConnTimeout:        idleTime,
			MaxResponseHeaderBytes: mostHead,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// answer is what an endpoint said. The body is cut off at mostBody.
type answer struct {
	status int
	body   []byte
}

// ask makes a request. Of an endpoint that said it is at work on it, and no more, that is the answer.
func ask(ctx context.Context, c *http.Client, r *http.Request) (answer, error) {
	var working atomic.Bool
	r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			if code == http.StatusProcessing {
				working.Store(true)
			}
			return nil
		},
	}))
	got, err := c.Do(r)
	if err != nil {
		if working.Load() && errors.Is(err, context.DeadlineExceeded) {
			return answer{status: http.StatusProcessing}, nil
		}
		return answer{}, faultOf(err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(io.LimitReader(got.Body, mostBody))
	if err != nil && got.StatusCode >= http.StatusMultipleChoices { // of an answer that counts the status is enough
		return answer{}, faultOf(err)
	}
	return answer{got.StatusCode, body}, nil
}

// post sends a body to an endpoint.
func post(ctx context.Context, c *http.Client, to string, body []byte, authorization string) (answer, error) {
	r, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return answer{}, &fault{"the URL of the endpoint cannot be read", err}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", agent)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	return ask(ctx, c, r)
}

const agent = "sluice-push"

// refusal is the fault of an endpoint that answers something else than that it has the messages.
func refusal(a answer) *fault {
	text := fmt.Sprintf("the endpoint answered %d", a.status)
	if said := legible(a.body); said != "" {
		text += ": " + said
	}
	return &fault{text: text}
}

// legible is the beginning of a text from a stranger, in one line.
func legible(b []byte) string {
	var s strings.Builder
	for len(b) > 0 && s.Len() < mostSaid {
		r, n := utf8.DecodeRune(b)
		b = b[n:]
		switch {
		case r == utf8.RuneError && n == 1:
			r = '?'
		case !unicode.IsPrint(r):
			r = ' '
		}
		s.WriteRune(r)
	}
	return strings.TrimSpace(s.String())
}

// The paths where an endpoint shows the hash: that which the service asks for, and that of its documentation.
const (
	hashPath      = "/ams_verification_hash"
	hashPathOther = "/ams_verificationHash"
)

// verify asks an endpoint's host for the hash.
func verify(ctx context.Context, c *http.Client, endpoint, hash string) error {
	err := verifyAt(ctx, c, endpoint, hashPath, hash)
	if err == nil || ctx.Err() != nil || verifyAt(ctx, c, endpoint, hashPathOther, hash) != nil {
		return err
	}
	return nil
}

func verifyAt(ctx context.Context, c *http.Client, endpoint, path, hash string) error {
	u, err := url.Parse(endpoint)
	if err != nil || !ValidEndpoint(endpoint) || hash == "" {
		return &fault{"the URL of the endpoint cannot be read", err}
	}
	r, err := http.NewRequest(http.MethodGet, (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}).String(), nil)
	if err != nil {
		return &fault{"the URL of the endpoint cannot be read", err}
	}
	r.Header.Set("User-Agent", agent)
	a, err := ask(ctx, c, r)
	switch {
	case err != nil:
		return err
	case a.status != http.StatusOK:
		return &fault{text: "Wrong response status code"}
	case string(a.body) != hash:
		return &fault{text: "Wrong verification hash"}
	}
	return nil
}
