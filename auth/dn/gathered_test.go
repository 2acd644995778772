package dn_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/dn"
)

// A subject is found by what ARGO's mapping service makes of it, and no other subject with it.
func TestGathered(t *testing.T) {
	for written, gathered := range map[string]string{
		"/DC=org/DC=terena/DC=tcs/C=DE/O=hosts/O=GermanGrid/OU=DESY/CN=host/example.com": "CN=host/example.com,OU=DESY,O=hosts+O=GermanGrid,C=DE,DC=org+DC=terena+DC=tcs",
		"/C=GR/O=Hellas/OU=x/L=Athens/CN=y":                                              "CN=y,L=Athens,OU=x,O=Hellas,C=GR",
		"CN=y, OU=b, OU=a, DC=example, DC=org":                                           "CN=y,OU=a+OU=b,DC=org+DC=example",
		"/DC=org/CN=x/emailAddress=a@b.c":                                                "E=a@b.c,CN=x,DC=org",
		"CN=x+UID=7,O=y":                                                                 "UID=7,CN=x,O=y",
	} {
		a, err := dn.Parse(written)
		require.NoError(t, err)
		b, err := dn.Parse(gathered)
		require.NoError(t, err)
		require.Equal(t, a.Gathered(), b.Gathered(), written)
	}
	seen := make(map[string]string)
	for _, written := range []string{
		"/DC=org/DC=example/CN=x", "/DC=example/DC=org/CN=x", "/DC=org/DC=example/CN=X", "/DC=org/DC=example/CN=y/CN=x", "/DC=org/DC=example/UID=1/CN=x", "/DC=org/DC=example/OU=a/OU=b/CN=x",
		"/DC=org/DC=example/OU=b/OU=a/CN=x", `CN=x\,DC\=org+DC=example`, "CN=x,DC=org,O=example", `CN=x\+CN\=y`, "/CN=y/CN=x",
	} {
		n, err := dn.Parse(written)
		require.NoError(t, err)
		require.Empty(t, seen[n.Gathered()], written)
		seen[n.Gathered()] = written
	}
}
