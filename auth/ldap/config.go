package ldap

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Config is how a directory is asked. In UserFilter and UserDN, %s stands for the login; in GroupFilter %s is the name (DN) of the user's entry and %u
// the login. What takes their place is escaped.
type Config struct {
	// URLs are the servers of one directory, such as ldaps://a.example.org and ldap://b.example.org:1389. One that does not answer is followed by the next.
	URLs []string
	// StartTLS asks ldap:// servers for TLS before anything else.
	StartTLS bool
	// CA is a PEM file of those who sign the servers' certificates; empty: those whom the system trusts.
	CA string
	// Insecure lets passcodes go to other hosts without TLS.
	Insecure bool

	// BindDN and BindPassword are who looks for people and groups; empty: nobody in particular looks for people, and each looks for the own groups.
	BindDN, BindPassword string
	// UserBase is below which entry people are looked for, and UserFilter how; empty is "(uid=%s)".
	UserBase, UserFilter string
	// UserDN, such as "uid=%s,ou=people,dc=example,dc=org", says where people are, so that nobody has to look; instead of UserBase.
	UserDN string
	// NameAttribute holds what a user is called here, since a directory takes logins in other spellings, too; empty: the
	// attribute in UserFilter if it is as simple as "(uid=%s)", else "uid". An entry without it is refused.
	NameAttribute string
	// GroupBase is below which entry groups are looked for; empty: nobody is in a group. GroupFilter is how; empty is
	// "(|(member=%s)(uniqueMember=%s)(memberUid=%u))". GroupAttribute is what a group is called; empty is "cn".
	GroupBase, GroupFilter, GroupAttribute string

	// Timeout bounds how long one server is asked about one login; 0 is 3 s.
	Timeout time.Duration
	// PoolSize is how many connections there may be; 0 is 4.
	PoolSize int
	// Remember is how long an entry and its groups are not looked for again; 0 is a minute, negative: always looked for. The passcode is proven every time.
	Remember time.Duration
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Log is told of servers that do not answer; nil is nowhere.
	Log *slog.Logger
}

// target is a server.
type target struct {
	address string // host:port
	tls     bool   // from the first byte on
	config  *tls.Config
}

// settings are a Config that makes sense.
type settings struct {
	Config
	targets []target
}

var simpleFilter = regexp.MustCompile(`^\(([A-Za-z][A-Za-z0-9-]*)=%s\)$`)

func (c Config) settings() (*settings, error) {
	s := &settings{Config: c}
	s.defaults()
	switch {
	case len(c.URLs) == 0:
		return nil, errors.New("ldap: an address is needed")
	case (s.UserDN == "") == (s.UserBase == ""):
		return nil, errors.New("ldap: either user_dn or user_base is needed")
	case s.UserDN != "" && strings.Count(s.UserDN, "%s") != 1:
		return nil, errors.New("ldap: user_dn needs %s once, where the login belongs")
	case s.UserBase != "" && !strings.Contains(s.UserFilter, "%s"):
		return nil, errors.New("ldap: user_filter needs %s, where the login belongs")
	case (s.BindDN == "") != (s.BindPassword == ""):
		return nil, errors.New("ldap: bind_dn and bind_password belong together")
	}
	if _, err := ldap.CompileFilter(s.userFilter("x")); err != nil {
		return nil, fmt.Errorf("ldap: user_filter %s: %w", s.UserFilter, err)
	}
	if _, err := ldap.CompileFilter(s.groupFilter("cn=x", "x")); err != nil {
		return nil, fmt.Errorf("ldap: group_filter %s: %w", s.GroupFilter, err)
	}
	for _, name := range []string{s.userDN("x"), s.UserBase, s.GroupBase, s.BindDN} {
		if _, err := ldap.ParseDN(name); err != nil {
			return nil, fmt.Errorf("ldap: the name %q: %w", name, err)
		}
	}
	return s, s.choose()
}

func (s *settings) defaults() {
	if s.UserFilter == "" {
		s.UserFilter = "(uid=%s)"
	}
	if s.NameAttribute == "" {
		s.NameAttribute = "uid"
		if m := simpleFilter.FindStringSubmatch(s.UserFilter); m != nil {
			s.NameAttribute = m[1]
		}
	}
	if s.GroupFilter == "" {
		s.GroupFilter = "(|(member=%s)(uniqueMember=%s)(memberUid=%u))"
	}
	if s.GroupAttribute == "" {
		s.GroupAttribute = "cn"
	}
	if s.Timeout <= 0 {
		s.Timeout = 3 * time.Second
	}
	if s.PoolSize <= 0 {
		s.PoolSize = 4
	}
	if s.Remember == 0 {
		s.Remember = time.Minute
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	if s.Log == nil {
		s.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
}

// choose makes targets of the addresses.
func (s *settings) choose() error {
	var roots *x509.CertPool
	if s.CA != "" {
		text, err := os.ReadFile(s.CA)
		if err != nil {
			return fmt.Errorf("ldap: ca: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return fmt.Errorf("ldap: there is no certificate in %s", s.CA)
		}
	}
	for _, text := range s.URLs {
		u, err := url.Parse(text)
		if err != nil || u.User != nil {
			return errors.New("ldap: an address is not one: it has to look like ldaps://host:636, without a password")
		}
		if u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
			return fmt.Errorf("ldap: %s: an address has to look like ldaps://host:636", text)
		}
		t := target{config: &tls.Config{RootCAs: roots, ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}}
		port := "389"
		switch u.Scheme {
		case "ldap":
		case "ldaps":
			t.tls, port = true, "636"
		default:
			return fmt.Errorf("ldap: %s: an address begins with ldap:// or ldaps://", text)
		}
		if u.Port() != "" {
			port = u.Port()
		}
		if !t.tls && !s.StartTLS && !s.Insecure && !loopback(u.Hostname()) {
			return fmt.Errorf("ldap: %s: passcodes would go over the network for everybody to read: use ldaps:// or start_tls, or say insecure", text)
		}
		t.address = net.JoinHostPort(u.Hostname(), port)
		s.targets = append(s.targets, t)
	}
	return nil
}

// loopback reports whether a host is this one. A name other than localhost is not: who knows what it resolves to tomorrow.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (s *settings) userFilter(login string) string {
	return strings.ReplaceAll(s.UserFilter, "%s", ldap.EscapeFilter(login))
}

func (s *settings) userDN(login string) string {
	return strings.ReplaceAll(s.UserDN, "%s", ldap.EscapeDN(login))
}

func (s *settings) groupFilter(entry, login string) string {
	return strings.NewReplacer("%s", ldap.EscapeFilter(entry), "%u", ldap.EscapeFilter(login)).Replace(s.GroupFilter)
}
