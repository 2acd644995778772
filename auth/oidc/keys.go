package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sluice-mq/sluice/gateway"
)

const (
	// maxDocument is how much is read of an issuer, maxKeys how many keys it may have.
	maxDocument = 1 << 20
	maxKeys     = 32
	// fetchTime bounds one attempt to fetch; seldom is the least time between two.
	fetchTime = 10 * time.Second
	seldom    = 30 * time.Second
	// weakest and strongest RSA keys, in bits: strong ones cost time.
	weakest, strongest = 2048, 8192
)

// keys are those of one issuer. run fetches them; others wait for it.
type keys struct {
	c      *Config
	issuer string
	from   string
	file   bool
	client *http.Client
	ask    chan struct{}

	mu      sync.Mutex
	all     []jose.JSONWebKey
	fetched time.Time
	tried   time.Time
	next    chan struct{} // closed when the next attempt is over
	count   int           // attempts that were well
	failed  bool          // the last one was not
}

func newKeys(c *Config, i Issuer) *keys {
	return &keys{
		c: c, issuer: i.Issuer, from: i.Keys, file: i.Keys != "" && !isURL(i.Keys),
		client: &http.Client{Transport: c.Transport, Timeout: fetchTime, CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("too many redirections")
			}
			return checkNext(via[0].URL.String(), r.URL.String())
		}},
		ask: make(chan struct{}, 1), next: make(chan struct{}),
	}
}

// run fetches the keys now and then, and when it is asked to; sooner again after a failure.
func (k *keys) run(ctx context.Context) {
	defer k.over(nil, context.Canceled) // nobody waits for what does not come any more
	pause := time.Duration(0)
	if k.file {
		pause = k.c.Refresh
	}
	for failures := 0; ; {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-k.ask:
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return
		}
		err := k.attempt(ctx)
		select {
		case <-k.ask: // whoever asked meanwhile has been served
		default:
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			k.c.Log.Warn("keys cannot be fetched", "issuer", k.issuer, "error", err)
			failures++
			pause = min(seldom<<min(failures-1, 8), k.c.Refresh)
		default:
			failures, pause = 0, k.c.Refresh
		}
	}
}

// attempt fetches the keys once; what is known stays if that fails.
func (k *keys) attempt(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTime)
	defer cancel()
	all, err := k.fetch(ctx)
	k.over(all, err)
	if err != nil {
		return fmt.Errorf("issuer %q: %w", k.issuer, err)
	}
	return nil
}

// over takes in how an attempt ended, and wakes who waited for that.
func (k *keys) over(all []jose.JSONWebKey, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tried, k.failed = k.c.Now(), err != nil
	if err == nil {
		k.all, k.fetched = all, k.tried
		k.count++
	}
	close(k.next)
	k.next = make(chan struct{})
}

// known returns the keys, and which fetching brought them. It waits for the first ones. The Error is of kind Unavailable.
func (k *keys) known(ctx context.Context) ([]jose.JSONWebKey, int, error) {
	k.mu.Lock()
	first := k.tried.IsZero()
	next := k.next
	k.mu.Unlock()
	if first {
		select {
		case <-next:
		case <-ctx.Done():
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.count == 0 || k.c.Now().Sub(k.fetched) > k.c.Stale {
		return nil, 0, gateway.Errorf(gateway.Unavailable, "the keys of issuer %s cannot be fetched now", k.issuer)
	}
	return k.all, k.count, nil
}

// newer waits for keys newer than those of a fetching, and reports whether there are any. It has them fetched, if that was not
// done a short time ago.
func (k *keys) newer(ctx context.Context, than int) bool {
	k.mu.Lock()
	if k.count > than {
		k.mu.Unlock()
		return true
	}
	if k.c.Now().Sub(k.tried) < seldom {
		k.mu.Unlock()
		return false
	}
	next := k.next
	k.mu.Unlock()
	select {
	case k.ask <- struct{}{}:
	default: // somebody else has asked
	}
	timer := time.NewTimer(fetchTime)
	defer timer.Stop()
	select {
	case <-next:
	case <-timer.C:
	case <-ctx.Done():
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.count > than
}

func (k *keys) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	if k.file {
		f, err := os.Open(k.from)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readKeys(f)
	}
	from := k.from
	if from == "" {
		var err error
		if from, err = k.discover(ctx); err != nil {
			return nil, err
		}
	}
	return get(ctx, k.client, from, readKeys)
}

// discover asks the issuer where its keys are.
func (k *keys) discover(ctx context.Context) (string, error) {
	where := strings.TrimSuffix(k.issuer, "/") + "/.well-known/openid-configuration"
	return get(ctx, k.client, where, func(r io.Reader) (string, error) {
		b, err := readAll(r)
		if err != nil {
			return "", err
		}
		var said claims
		if json.Unmarshal(b, &said) != nil || said.text("issuer") != k.issuer {
			return "", fmt.Errorf("%s does not speak of this issuer", where)
		}
		keys := said.text("jwks_uri")
		return keys, checkNext(where, keys)
	})
}

func get[T any](ctx context.Context, client *http.Client, from string, read func(io.Reader) (T, error)) (none T, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return none, err
	}
	answer, err := client.Do(r)
	if err != nil {
		return none, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return none, fmt.Errorf("%s answers %s", from, answer.Status)
	}
	return read(answer.Body)
}

func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(b) > maxDocument {
		err = fmt.Errorf("it is longer than %d bytes", maxDocument)
	}
	return b, err
}

// readKeys reads a JWKS. Keys that no token could be verified with are left out; some must remain.
func readKeys(r io.Reader) ([]jose.JSONWebKey, error) {
	b, err := readAll(r)
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(b, &set) != nil {
		return nil, errors.New("this is no set of keys (JWKS)")
	}
	var all []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) != nil || !usable(key) {
			continue
		}
		if len(all) == maxKeys {
			return nil, fmt.Errorf("there are more than %d keys", maxKeys)
		}
		all = append(all, key)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("none of its %d keys is a public key that signs (RSA of %d bits or more, EC, Ed25519)", len(set.Keys), weakest)
	}
	return all, nil
}

func usable(k jose.JSONWebKey) bool {
	if k.Use != "" && k.Use != "sig" || !k.Valid() {
		return false
	}
	switch key := k.Key.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() >= weakest && key.N.BitLen() <= strongest
	case *ecdsa.PublicKey, ed25519.PublicKey:
		return true
	}
	return false
}
