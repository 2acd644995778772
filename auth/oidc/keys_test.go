package oidc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/oidc"
	"github.com/sluice-mq/sluice/gateway"
)

// web answers requests without a network; what it says can be changed.
type web struct {
	mu    sync.Mutex
	pages map[string]string
	asked []string
	down  bool
	hang  chan struct{} // not nil: answers wait for it
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.asked = append(w.asked, r.URL.String())
	page, found := w.pages[r.URL.String()]
	down, hang := w.down, w.hang
	w.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	answer := &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Header: http.Header{}, Body: io.NopCloser(strings.NewReader(page)), Request: r}
	switch {
	case down:
		return nil, errors.New("nobody is there")
	case !found:
		answer.StatusCode, answer.Status = http.StatusNotFound, "404 Not Found"
	case strings.HasPrefix(page, "-> "):
		answer.StatusCode = http.StatusFound
		answer.Header.Set("Location", page[3:])
	}
	return answer, nil
}

func (w *web) set(page, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.pages == nil {
		w.pages = map[string]string{}
	}
	w.pages[page] = text
}

func (w *web) fail(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
}

func (w *web) requests() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

func jwks(t testing.TB, signers ...signer) string {
	t.Helper()
	var set jose.JSONWebKeySet
	for _, s := range signers {
		set.Keys = append(set.Keys, s.public())
	}
	b, err := json.Marshal(set)
	require.NoError(t, err)
	return string(b)
}

const keysURL = "https://iam.example.org/jwks"

// remote is an issuer on the web, in a bubble.
func remote(t *testing.T, w *web, keys string) *oidc.Issuers {
	t.Helper()
	s, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{{Issuer: iss, Audiences: []string{"sluice"}, Keys: keys}}, Transport: w})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// fresh is a token that is good by the clock of the bubble.
func fresh(t *testing.T, s signer) string {
	return s.sign(t, says(map[string]any{"exp": time.Now().Add(time.Hour).Unix(), "iat": nil}), nil)
}

func verify(t *testing.T, s *oidc.Issuers, token string) error {
	t.Helper()
	_, _, err := s.VerifyToken(context.Background(), token)
	return err
}

func TestTheFirstLoginWaitsForKeys(t *testing.T) {
	key := newSigner(t, "k", jose.ES256)
	synctest.Test(t, func(t *testing.T) {
		w := &web{hang: make(chan struct{})}
		w.set(keysURL, jwks(t, key))
		s := remote(t, w, keysURL)
		defer s.Close()
		var all sync.WaitGroup
		all.Go(func() { require.NoError(t, verify(t, s, fresh(t, key))) })
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := s.VerifyToken(impatient, fresh(t, key))
		require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
		require.Equal(t, "the keys of issuer https://iam.example.org/ cannot be fetched now", gateway.TextOf(err))
		close(w.hang)
		all.Wait()
		require.Equal(t, 1, w.requests())
	})
}

func TestKeysChange(t *testing.T) {
	before, after, stranger := newSigner(t, "1", jose.ES256), newSigner(t, "2", jose.ES256), newSigner(t, "3", jose.ES256)
	synctest.Test(t, func(t *testing.T) {
		w := &web{}
		w.set(keysURL, jwks(t, before))
		s := remote(t, w, keysURL)
		defer s.Close()
		require.NoError(t, verify(t, s, fresh(t, before)))
		w.set(keysURL, jwks(t, after))
		time.Sleep(time.Minute)
		require.NoError(t, verify(t, s, fresh(t, after)), "a name that is new has the keys fetched")
		require.Error(t, verify(t, s, fresh(t, before)))
		require.Equal(t, 2, w.requests())

		// Strangers cannot have them fetched as often as they like.
		for range 100 {
			require.ErrorContains(t, verify(t, s, fresh(t, stranger)), "is not signed by it")
		}
		require.Equal(t, 2, w.requests())
		time.Sleep(time.Minute)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { require.ErrorContains(t, verify(t, s, fresh(t, stranger)), "is not signed by it") })
		}
		all.Wait()
		require.Equal(t, 3, w.requests())

		w.set(keysURL, jwks(t, before))
		time.Sleep(16 * time.Minute)
		require.Equal(t, 4, w.requests(), "they are fetched without being asked for")
		require.Error(t, verify(t, s, fresh(t, after)))
	})
}

func TestAnIssuerThatIsAwayIsBelievedForADay(t *testing.T) {
	key := newSigner(t, "k", jose.ES256)
	synctest.Test(t, func(t *testing.T) {
		w := &web{}
		w.set(keysURL, jwks(t, key))
		start := time.Now()
		s := remote(t, w, keysURL)
		defer s.Close()
		require.NoError(t, verify(t, s, fresh(t, key)))
		require.Equal(t, []oidc.Status{{Issuer: iss, Keys: 1, Fetched: start}}, s.Status())
		for _, away := range []func(){
			func() { w.fail(true) },
			func() { w.fail(false); w.set(keysURL, "<html>down for maintenance</html>") },
			func() { w.set(keysURL, `{"keys":[]}`) },
		} {
			away()
			time.Sleep(7 * time.Hour)
			require.NoError(t, verify(t, s, fresh(t, key)))
			require.Equal(t, []oidc.Status{{Issuer: iss, Keys: 1, Fetched: start, Failing: true}}, s.Status())
		}
		time.Sleep(4 * time.Hour)
		require.Equal(t, gateway.Unavailable, gateway.KindOf(verify(t, s, fresh(t, key))))
		w.set(keysURL, jwks(t, key))
		time.Sleep(16 * time.Minute)
		require.NoError(t, verify(t, s, fresh(t, key)))
		require.Less(t, w.requests(), 200)
	})
}

func TestAnIssuerThatIsNotThereAtFirst(t *testing.T) {
	key := newSigner(t, "k", jose.ES256)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := &web{down: true}
		w.set(keysURL, jwks(t, key))
		s, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{{Issuer: iss, Audiences: []string{"sluice"}, Keys: keysURL}}, Transport: w, Log: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		require.Equal(t, gateway.Unavailable, gateway.KindOf(verify(t, s, fresh(t, key))))
		w.fail(false)
		time.Sleep(31 * time.Second)
		require.NoError(t, verify(t, s, fresh(t, key)))
		s.Close() // so that nobody writes the log any more
		require.Contains(t, log.String(), "keys cannot be fetched")
		require.Contains(t, log.String(), "nobody is there")
		require.NoError(t, verify(t, s, fresh(t, key)), "what is known stays")
	})
}

func TestAfterCloseNobodyWaits(t *testing.T) {
	key := newSigner(t, "k", jose.ES256)
	synctest.Test(t, func(t *testing.T) {
		s := remote(t, &web{hang: make(chan struct{})}, keysURL)
		s.Close()
		require.Equal(t, gateway.Unavailable, gateway.KindOf(verify(t, s, fresh(t, key))))
	})
}

func TestKeysThatAreDiscovered(t *testing.T) {
	key := newSigner(t, "k", jose.ES256)
	const where = "https://iam.example.org/.well-known/openid-configuration"
	good := `{"issuer":"https://iam.example.org/","jwks_uri":"` + keysURL + `"}`
	for why, pages := range map[string]map[string]string{
		"":                                 {where: good, keysURL: jwks(t, key)},
		"a redirection":                    {where: "-> https://www.example.org/c", "https://www.example.org/c": good, keysURL: jwks(t, key)},
		"does not speak of this issuer":    {where: strings.ReplaceAll(good, "iam.example.org/\"", "evil.example.org/\""), keysURL: jwks(t, key)},
		"answers 404 Not Found":            {where: good},
		"what began by https goes on":      {where: strings.ReplaceAll(good, keysURL, "http://127.0.0.1/jwks"), "http://127.0.0.1/jwks": jwks(t, key)},
		"what began by https goes on ":     {where: "-> http://127.0.0.1/c", "http://127.0.0.1/c": good, keysURL: jwks(t, key)},
		"keys come from a file or a URL":   {where: `{"issuer":"https://iam.example.org/"}`},
		"too many redirections":            {where: "-> " + where},
		"it is longer than 1048576 bytes":  {where: good, keysURL: strings.Repeat(" ", 1<<20+1)},
		"it is longer than 1048576 bytes ": {where: strings.Repeat(" ", 1<<20+1)},
	} {
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			w := &web{pages: pages}
			s, err := oidc.New(oidc.Config{Issuers: []oidc.Issuer{{Issuer: iss, Audiences: []string{"sluice"}}}, Transport: w, Log: slog.New(slog.NewTextHandler(&log, nil))})
			require.NoError(t, err)
			err = verify(t, s, fresh(t, key))
			synctest.Wait() // for the log
			s.Close()
			if why == "" || why == "a redirection" {
				require.NoError(t, err, why)
				return
			}
			require.Equal(t, gateway.Unavailable, gateway.KindOf(err), why)
			require.Contains(t, log.String(), strings.TrimSpace(why))
		})
	}
}

// Over a real socket, with a certificate that somebody vouches for, and with one that nobody does.
func TestKeysOverTLS(t *testing.T) {
	key := newSigner(t, "k", jose.ES256)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, jwks(t, key))
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	defer server.Close()
	for _, trusted := range []bool{true, false} {
		c := oidc.Config{Issuers: []oidc.Issuer{{Issuer: iss, Audiences: []string{"sluice"}, Keys: server.URL}}, Now: func() time.Time { return now }}
		if trusted {
			c.Transport = server.Client().Transport
		}
		s, err := oidc.New(c)
		require.NoError(t, err)
		_, _, err = s.VerifyToken(t.Context(), key.sign(t, says(nil), nil))
		require.Equal(t, trusted, err == nil)
		if !trusted {
			require.Equal(t, gateway.Unavailable, gateway.KindOf(err))
		}
		s.Close()
	}
}

func TestAFileOfKeysIsReadAgain(t *testing.T) {
	before, after := newSigner(t, "1", jose.ES256), newSigner(t, "2", jose.ES256)
	name := keyFile(t, before.public())
	synctest.Test(t, func(t *testing.T) {
		s := remote(t, &web{}, name)
		defer s.Close()
		require.NoError(t, verify(t, s, fresh(t, before)))
		require.NoError(t, os.WriteFile(name, []byte(jwks(t, after)), 0o600))
		time.Sleep(time.Minute)
		require.NoError(t, verify(t, s, fresh(t, after)))
		require.Error(t, verify(t, s, fresh(t, before)))
	})
}
