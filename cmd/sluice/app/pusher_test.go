package app

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/jetstream"
)

// A node shares what is to be pushed with those that it reaches and that stay; one that lost the majority, or goes itself, pushes nothing.
func TestWhoPushes(t *testing.T) {
	all := []jetstream.Node{{Name: "a", Linked: true}, {Name: "b"}, {Name: "c", Linked: true, Leaving: true}, {Name: "d", Linked: true}}
	require.Equal(t, []string{"a", "d"}, pushing(true, all))
	require.Empty(t, pushing(false, all))
	all[0].Leaving = true
	require.Equal(t, []string{"d"}, pushing(true, all))
}

func TestAuthoritiesOfEndpoints(t *testing.T) {
	none, err := authorities(nil)
	require.NoError(t, err)
	require.Nil(t, none, "the system's")
	t.Chdir(t.TempDir())
	_, err = authorities([]File{"ca.crt"})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile("ca.crt", []byte("not PEM"), 0o600))
	_, err = authorities([]File{"ca.crt"})
	require.EqualError(t, err, "ca.crt has no certificate in PEM")
}

func TestWherePushesMayGo(t *testing.T) {
	c := load(t, Sources{File: write(t, "pubsub: {push: {allow_private_addresses: true, allowed_networks: [10.1.2.3/24, \"fd00::7\"], ca: [ca.crt]}}\n")})
	require.True(t, c.PubSub.Push.AllowPrivateAddresses)
	require.Equal(t, "10.1.2.0/24", c.PubSub.Push.AllowedNetworks[0].String())
	require.Equal(t, "fd00::7/128", c.PubSub.Push.AllowedNetworks[1].String())
	for name, want := range map[string]string{
		"localhost":            `"localhost" is not a network, such as 10.0.0.0/8`,
		"0.0.0.0/0":            "0.0.0.0/0 is every address, those that only this machine should reach among them",
		"\"::/0\"":             "::/0 is every address, those that only this machine should reach among them",
		"\"::ffff:a00:0/104\"": "::ffff:10.0.0.0/104 is a network of IPv4 in the words of IPv6, which no address is in",
	} {
		require.Contains(t, problems(t, "pubsub:\n  push:\n    allowed_networks: ["+name+"]\n"), "c.yaml:3:24: pubsub.push.allowed_networks[0]: "+want)
	}
	require.Contains(t, problems(t, "pubsub: {push: {ca: [\"\"]}}\n"), "pubsub.push.ca[0]: names no file")
}
