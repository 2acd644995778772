package websocket

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// origins are the patterns of web pages that may connect; nil is those of the same host and port.
type origins []string

var (
	errOrigins      = errors.New("more than one Origin header")
	errOriginWords  = errors.New("the Origin header is no origin")
	errOriginDenied = errors.New("web pages of this origin may not connect")
)

// parseOrigins looks at patterns of the configuration.
func parseOrigins(patterns []string) (origins, error) {
	var o origins
	for _, p := range patterns {
		p = strings.ToLower(strings.TrimSpace(p))
		if _, err := path.Match(p, ""); err != nil || p == "" {
			return nil, fmt.Errorf("the origin %q is malformed", p)
		}
		host := p
		if _, rest, ok := strings.Cut(p, "://"); ok {
			host = rest
		}
		if strings.ContainsAny(host, "/?#@") {
			return nil, fmt.Errorf("the origin %q is not scheme://host or scheme://host:port", p)
		}
		o = append(o, p)
	}
	return o, nil
}

// check returns why the page that a request comes from may not connect; nil: it may, or it is no page.
func (o origins) check(r *http.Request) error {
	all := r.Header["Origin"]
	switch {
	case len(all) == 0:
		return nil
	case len(all) > 1:
		return errOrigins
	}
	if o.any() {
		return nil
	}
	u, err := url.Parse(strings.ToLower(all[0]))
	if err != nil || u.Scheme == "" || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return errOriginWords // "null" too: a page that hides where it comes from
	}
	if len(o) == 0 {
		if withPort(u.Scheme, u.Host) == withPort(u.Scheme, strings.ToLower(r.Host)) {
			return nil
		}
		return errOriginDenied
	}
	for _, pattern := range o {
		target := u.Host
		if strings.Contains(pattern, "://") {
			target = u.Scheme + "://" + u.Host
		}
		if ok, _ := path.Match(pattern, target); ok {
			return nil
		}
	}
	return errOriginDenied
}

func (o origins) any() bool {
	for _, p := range o {
		if p == "*" {
			return true
		}
	}
	return false
}

// withPort adds the port that a scheme has when none is said.
func withPort(scheme, host string) string {
	u := url.URL{Host: host}
	if u.Port() != "" {
		return host
	}
	if scheme == "https" {
		return strings.TrimSuffix(host, ":") + ":443"
	}
	return strings.TrimSuffix(host, ":") + ":80"
}
