package app

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/sluice-mq/sluice/auth/pki"
)

// trust makes what a listener with TLS knows; nil for one without.
func (l Listener) trust(log *slog.Logger) (*pki.Server, error) {
	t := l.TLS
	if t == nil {
		return nil, nil
	}
	return pki.New(pki.Config{
		Certificate: string(t.Certificate), Key: string(t.Key),
		ClientAuth: string(t.ClientAuth), ClientCA: paths(t.ClientCA), ClientCADir: string(t.ClientCADir), CRLs: paths(t.CRL),
		OCSP: string(t.OCSP), MinVersion: string(t.MinVersion), Log: log.With("listener", l.Address.String()),
	})
}

func paths(files []File) []string {
	all := make([]string, len(files))
	for i, f := range files {
		all[i] = string(f)
	}
	return all
}

// shelf is where the certificates of a listener are. An address alone is none: several listeners may take a free port.
type shelf struct {
	tls     *TLS
	address Address
}

func (l Listener) shelf() shelf { return shelf{l.TLS, l.Address} }

// certificates are those of all listeners with TLS.
type certificates map[shelf]*pki.Server

// reload looks at all files now.
func (c certificates) reload() error {
	var all []error
	for at, s := range c {
		if err := s.Reload(); err != nil {
			all = append(all, fmt.Errorf("tls of %v: %w", at.address, err))
		}
	}
	return errors.Join(all...)
}

var (
	certificateExpiry = prometheus.NewDesc("sluice_tls_certificate_expiry_seconds", "When a listener's certificate is not good any more, in seconds since 1970.", []string{"listener"}, nil)
	crlExpiry         = prometheus.NewDesc("sluice_tls_crl_expiry_seconds", "When the first of a listener's revocation lists is not good any more, in seconds since 1970.", []string{"listener"}, nil)
)

// collect shows how long files are good; of listeners that were all told to take a free port, the one whose are good for the shortest.
func (c certificates) collect(ch chan<- prometheus.Metric) {
	certified, listed := map[string]time.Time{}, map[string]time.Time{}
	for at, s := range c {
		status := s.Status()
		earliest(certified, at.address.String(), status.Certificate.NotAfter)
		for _, list := range status.CRLs {
			earliest(listed, at.address.String(), list.NotAfter)
		}
	}
	for desc, ends := range map[*prometheus.Desc]map[string]time.Time{certificateExpiry: certified, crlExpiry: listed} {
		for at, end := range ends {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(end.Unix()), at)
		}
	}
}

// earliest keeps the earliest time of each name; zero is none.
func earliest(of map[string]time.Time, name string, t time.Time) {
	if known, ok := of[name]; !t.IsZero() && (!ok || t.Before(known)) {
		of[name] = t
	}
}
