package users

import (
	"crypto/x509"
	"errors"
	"net/url"
	"strings"

	"github.com/sluice-mq/sluice/auth"
	"github.com/sluice-mq/sluice/auth/dn"
	"github.com/sluice-mq/sluice/gateway"
)

// Identify implements auth.Certificates: by the subject, else by an alternative name. Names that belong to different users are refused.
func (u *Users) Identify(c *x509.Certificate) (gateway.Principal, bool, error) {
	d := u.directory.Load()
	subject, err := dn.Of(c)
	if err != nil {
		return gateway.Principal{}, true, gateway.WrapError(gateway.Unauthenticated, err, "The subject of the client certificate cannot be read.")
	}
	var m *member
	if !subject.Empty() {
		m = d.byDN[subject.Key()]
	}
	if m == nil {
		for _, san := range alternatives(c) {
			o := d.bySAN[san]
			if o != nil && m != nil && o != m {
				return gateway.Principal{}, true, gateway.Errorf(gateway.Unauthenticated, "The client certificate has names of several users.")
			}
			if o != nil {
				m = o
			}
		}
	}
	switch {
	case m == nil:
		return gateway.Principal{}, false, nil
	case m.disabled:
		return gateway.Principal{}, true, refused(auth.ErrDisabled)
	}
	p := u.principal(m, "certificate")
	p.DN = subject.String()
	return p, true, nil
}

// alternatives returns the names of a certificate as parseSAN writes them. A name with a wildcard stands for itself alone.
func alternatives(c *x509.Certificate) (keys []string) {
	for _, name := range c.DNSNames {
		keys = append(keys, "dns:"+strings.ToLower(name))
	}
	for _, address := range c.EmailAddresses {
		keys = append(keys, "email:"+mailbox(address))
	}
	for _, uri := range c.URIs {
		keys = append(keys, "uri:"+uri.String())
	}
	return keys
}

// parseSAN reads an alternative name and returns it in the form in which names are compared: hosts are the same in any case.
func parseSAN(s string) (string, error) {
	kind, value, _ := strings.Cut(s, ":")
	value = strings.TrimSpace(value)
	if value == "" {
		return "", errors.New("it has not the form dns:..., email:... or uri:...")
	}
	switch kind = strings.ToLower(strings.TrimSpace(kind)); kind {
	case "dns":
		return "dns:" + strings.ToLower(value), nil
	case "email":
		if !strings.Contains(value, "@") {
			return "", errors.New("an email address has an @")
		}
		return "email:" + mailbox(value), nil
	case "uri":
		u, err := url.Parse(value)
		if err != nil || u.Scheme == "" {
			return "", errors.New("it is no URI")
		}
		return "uri:" + u.String(), nil
	}
	return "", errors.New("it has not the form dns:..., email:... or uri:...")
}

func mailbox(s string) string {
	i := strings.LastIndexByte(s, '@')
	return s[:i+1] + strings.ToLower(s[i+1:])
}
