package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestANodeCountsItselfOnce(t *testing.T) {
	at := func(text string) (a Address) {
		require.NoError(t, a.UnmarshalText([]byte(text)))
		return a
	}
	for _, c := range []struct {
		why     string
		address string
		routes  []string
		want    int
	}{
		{"the others alone", "127.0.0.1:1", []string{"127.0.0.1:2", "127.0.0.1:3"}, 3},
		{"all of them", "127.0.0.1:1", []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"}, 3},
		{"itself by another name", "127.0.0.1:1", []string{"localhost:1", "127.0.0.1:2", "127.0.0.1:3"}, 3},
		{"all addresses of the machine, the others alone", "0.0.0.0:1", []string{"192.0.2.7:1", "192.0.2.8:1"}, 3},
		{"all addresses of the machine, all nodes", ":1", []string{"127.0.0.1:1", "192.0.2.7:1", "192.0.2.8:1"}, 3},
	} {
		cluster := &Cluster{Address: at(c.address)}
		for _, r := range c.routes {
			cluster.Routes = append(cluster.Routes, at(r))
		}
		require.Equal(t, c.want, size(cluster), c.why)
	}
}

func TestClustersThatCannotBeAreRefusedInWords(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("short\n"), 0o600))
	two := []Address{{"127.0.0.1", 2}, {"127.0.0.1", 3}}
	for want, c := range map[string]*Cluster{
		"cluster.replicas: 5 are wanted, but there are only 3 nodes":                  {Routes: two, Replicas: 5},
		"the cluster's secret: open none: no such file or directory":                  {Routes: two, Replicas: 3, SecretFile: "none"},
		"the cluster's secret in " + secret + ": a secret has at least 16 characters": {Routes: two, Replicas: 3, SecretFile: File(secret)},
		"the cluster's authority: open a: no such file or directory":                  {Routes: two, Replicas: 3, Certificate: "c", Key: "k", Authority: "a"},
	} {
		_, _, err := cluster(c)
		require.EqualError(t, err, want)
	}
}

// A certificate by which nodes know one another is looked at for new routes alone: before it ends somebody must have been told.
func TestTheEndOfANodesCertificateIsTold(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	now := time.Now()
	write := func(name string, end time.Time) {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: end}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		secret, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
		require.NoError(t, os.WriteFile(name, text, 0o600))
	}
	t.Chdir(t.TempDir())
	write("good", now.Add(8*24*time.Hour))
	write("ending", now.Add(6*24*time.Hour))
	warnings := func(c *Cluster) (said []string) {
		c.remind(now, slog.New(remarks{said: &said}))
		return said
	}
	require.Empty(t, warnings(nil))
	require.Empty(t, warnings(&Cluster{SecretFile: "secret"}))
	require.Empty(t, warnings(&Cluster{Certificate: "good", Key: "good"}))
	ending := &Cluster{Certificate: "ending", Key: "ending", Address: Address{"127.0.0.1", 6222}}
	require.Len(t, warnings(ending), 1)
	require.Contains(t, warnings(ending)[0], "certificate: ending")

	all := prometheus.NewRegistry()
	all.MustRegister(collects((&guard{cluster: ending}).collect))
	shown, err := all.Gather()
	require.NoError(t, err)
	require.Len(t, shown, 1)
	require.Equal(t, "sluice_tls_certificate_expiry_seconds", shown[0].GetName())
	metric := shown[0].GetMetric()[0]
	require.Equal(t, "127.0.0.1:6222", metric.GetLabel()[0].GetValue())
	require.InDelta(t, now.Add(6*24*time.Hour).Unix(), metric.GetGauge().GetValue(), 1)
}

// collects is a collector.
type collects func(chan<- prometheus.Metric)

func (collects) Describe(chan<- *prometheus.Desc)      {}
func (c collects) Collect(ch chan<- prometheus.Metric) { c(ch) }
