package app

import (
	"os"
	"path/filepath"
	"testing"

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
