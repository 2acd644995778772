package app

import (
	"errors"
	"fmt"
	"log/slog"

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

// certificates are those of all listeners with TLS, by the listeners' addresses.
type certificates map[string]*pki.Server

// reload looks at all files now.
func (c certificates) reload() error {
	var all []error
	for at, s := range c {
		if err := s.Reload(); err != nil {
			all = append(all, fmt.Errorf("tls of %s: %w", at, err))
		}
	}
	return errors.Join(all...)
}

var (
	certificateExpiry = prometheus.NewDesc("sluice_tls_certificate_expiry_seconds", "When a listener's certificate is not good any more, in seconds since 1970.", []string{"listener"}, nil)
	crlExpiry         = prometheus.NewDesc("sluice_tls_crl_expiry_seconds", "When the first of a listener's revocation lists is not good any more, in seconds since 1970.", []string{"listener"}, nil)
)

// collect shows how long files are good.
func (c certificates) collect(ch chan<- prometheus.Metric) {
	for at, s := range c {
		status := s.Status()
		ch <- prometheus.MustNewConstMetric(certificateExpiry, prometheus.GaugeValue, float64(status.Certificate.NotAfter.Unix()), at)
		first := int64(0)
		for _, list := range status.CRLs {
			if end := list.NotAfter.Unix(); !list.NotAfter.IsZero() && (first == 0 || end < first) {
				first = end
			}
		}
		if first != 0 {
			ch <- prometheus.MustNewConstMetric(crlExpiry, prometheus.GaugeValue, float64(first), at)
		}
	}
}
