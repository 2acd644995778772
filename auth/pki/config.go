package pki

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Whether clients are asked for a certificate: Config.ClientAuth.
const (
	// AuthNone does not ask.
	AuthNone = "none"
	// AuthOptional asks, and takes clients without one as well.
	AuthOptional = "optional"
	// AuthRequired refuses the handshake of a client without one.
	AuthRequired = "required"
)

// Whether responders are asked if a certificate was revoked: Config.OCSP.
const (
	// OCSPOff asks nobody.
	OCSPOff = "off"
	// OCSPOptional accepts a certificate whose responder gives no usable answer, and logs it.
	OCSPOptional = "optional"
	// OCSPRequired accepts only what a responder has said to be good.
	OCSPRequired = "required"
)

// Config is how a listener does TLS.
type Config struct {
	// Certificate is the file of the server's certificate with the intermediate ones after it, Key that of its key; both PEM.
	Certificate, Key string

	// ClientAuth is AuthNone, AuthOptional or AuthRequired; empty: optional if anybody is trusted to sign clients, else none.
	ClientAuth string
	// ClientCA are files of authorities that sign clients, PEM (several in a file are well) or DER. An intermediate authority is trusted by itself if
	// the one above it is not there.
	ClientCA []string
	// ClientCADir is a directory in the layout of the IGTF, such as /etc/grid-security/certificates: HASH.0, *.pem and
	// *.crt are authorities, HASH.r0 their revocation lists and *.signing_policy say which names they may sign.
	ClientCADir string
	// CRLs are files of revocation lists, PEM or DER.
	CRLs []string
	// RequireCRL refuses clients of authorities without a revocation list. An expired list refuses them always.
	RequireCRL bool
	// OCSP is OCSPOff, OCSPOptional or OCSPRequired; empty is off. The responder is the one that the certificate names.
	OCSP string
	// OCSPTimeout bounds the asking for one certificate; 0 is 2 s.
	OCSPTimeout time.Duration

	// MinVersion is "1.0", "1.1", "1.2" or "1.3"; empty is 1.2. Below 1.2 old cipher suites are switched on with it, and the log warns at every start.
	MinVersion string
	// CipherSuites are names such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, for versions before 1.3; none: what Go thinks right.
	CipherSuites []string

	// Refresh is how long a look at the files is good for: a change is seen by the first client after it. 0 is 5 s, negative: Reload alone looks.
	Refresh time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log gets warnings; nil is nowhere.
	Log *slog.Logger
	// OnError is told of files that could not be read again; what they said before stays in force. nil: the log is told. It must not call the Server.
	OnError func(error)
}

// settings are a Config that makes sense.
type settings struct {
	Config
	clientAuth tls.ClientAuthType
	minVersion uint16
	suites     []uint16
}

func (c Config) settings() (*settings, error) {
	s := &settings{Config: c}
	if c.Now == nil {
		s.Now = time.Now
	}
	if c.Log == nil {
		s.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if c.OnError == nil {
		s.OnError = func(err error) {
			s.Log.Error("a file for TLS could not be read again; what it said before stays in force", "error", err)
		}
	}
	if c.Refresh == 0 {
		s.Refresh = 5 * time.Second
	}
	if c.OCSPTimeout <= 0 {
		s.OCSPTimeout = 2 * time.Second
	}
	if c.Certificate == "" || c.Key == "" {
		return nil, errors.New("tls: a certificate and a key are needed")
	}
	return s, errors.Join(s.chooseAuth(), s.chooseOCSP(), s.chooseVersion(), s.chooseSuites())
}

func (s *settings) chooseAuth() error {
	trusts := len(s.ClientCA) > 0 || s.ClientCADir != ""
	if s.ClientAuth == "" {
		s.ClientAuth = AuthNone
		if trusts {
			s.ClientAuth = AuthOptional
		}
	}
	switch s.ClientAuth {
	case AuthNone:
		s.clientAuth = tls.NoClientCert
		return nil
	case AuthOptional:
		s.clientAuth = tls.RequestClientCert
	case AuthRequired:
		s.clientAuth = tls.RequireAnyClientCert
	default:
		return fmt.Errorf("tls: client_auth is %q, and may be none, optional or required", s.ClientAuth)
	}
	if !trusts {
		return fmt.Errorf("tls: client_auth is %s, and nobody is trusted to sign clients: client_ca or client_ca_dir is needed", s.ClientAuth)
	}
	return nil
}

func (s *settings) chooseOCSP() error {
	switch s.OCSP {
	case "":
		s.OCSP = OCSPOff
	case OCSPOff, OCSPOptional, OCSPRequired:
	default:
		return fmt.Errorf("tls: ocsp is %q, and may be off, optional or required", s.OCSP)
	}
	return nil
}

func (s *settings) chooseVersion() error {
	versions := map[string]uint16{"": tls.VersionTLS12, "1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	v, ok := versions[s.MinVersion]
	if !ok {
		return fmt.Errorf("tls: min_version is %q, and may be 1.0, 1.1, 1.2 or 1.3", s.MinVersion)
	}
	s.minVersion = v
	return nil
}

// legacySuites are what clients know that speak nothing newer than TLS 1.1 and no elliptic curves.
func legacySuites() []uint16 {
	return []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA}
}

func (s *settings) chooseSuites() error {
	for _, name := range s.CipherSuites {
		same := func(c *tls.CipherSuite) bool { return c.Name == strings.TrimSpace(name) }
		known := tls.CipherSuites()
		if i := slices.IndexFunc(known, same); i >= 0 {
			s.suites = append(s.suites, known[i].ID)
			continue
		}
		insecure := tls.InsecureCipherSuites()
		i := slices.IndexFunc(insecure, same)
		if i < 0 {
			return fmt.Errorf("tls: the cipher suite %q is not known", name)
		}
		s.suites = append(s.suites, insecure[i].ID)
	}
	if len(s.CipherSuites) == 0 && s.minVersion < tls.VersionTLS12 {
		for _, c := range tls.CipherSuites() {
			s.suites = append(s.suites, c.ID)
		}
		s.suites = append(s.suites, legacySuites()...)
	}
	return nil
}

// warn writes down what an operator should know of the settings.
func (s *settings) warn() {
	if s.minVersion < tls.VersionTLS12 {
		s.Log.Warn("TLS before 1.2 is switched on: it protects badly, so switch it off when the last old client has gone",
			"min_version", s.MinVersion, "certificate", s.Certificate)
	}
	for _, name := range s.CipherSuites {
		for _, c := range tls.InsecureCipherSuites() {
			if c.Name == strings.TrimSpace(name) {
				s.Log.Warn("a weak cipher suite is switched on", "suite", c.Name, "certificate", s.Certificate)
			}
		}
	}
}
