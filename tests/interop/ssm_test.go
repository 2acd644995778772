package interop

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
	"github.com/sluice-mq/sluice/tests/node"
)

// smime is what a signed record looks like: headers of its own, many lines, and CRLF in some.
const smime = "MIME-Version: 1.0\nContent-Type: multipart/signed; protocol=\"application/x-pkcs7-signature\"; micalg=\"sha-256\"; boundary=\"----7A\"\n\n" +
	"This is an S/MIME signed message\n\n------7A\nAPEL-summary-job-message: v0.3\r\nSite: UKI-SOUTHGRID\r\n%%\r\n\n------7A--\n"

// ssm connects as APEL's secure stomp messenger: stomp.py 4.1.24 over TLS with the host's certificate, neither login nor host.
func ssm(t *testing.T, s *site, addr, certificate string) *raw.Client {
	t.Helper()
	trusted := x509.NewCertPool()
	trusted.AddCert(s.authority.Cert)
	pair, err := tls.LoadX509KeyPair(s.file(certificate+".crt"), s.file(certificate+".key"))
	require.NoError(t, err)
	nc, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = nc.Close() })
	c := raw.Over(t, nc)
	c.Send("STOMP", "", "accept-version:1.1")
	return c
}

func TestSSM(t *testing.T) {
	s := newSite(t)
	s.issue(t, s.authority, "apel", "/DC=org/DC=example/OU=hosts/CN=apel.example.org")
	words := fmt.Sprintf("{certificate: %q, key: %q, client_ca: [%q]}", s.hostCert, s.hostKey, s.authorityFile)
	n := node.StartConfigured(t, `listeners:
  - {protocol: stomp, address: "127.0.0.1:0", tls: `+words+`}
auth:
  users:
    - {name: site1, dn: "CN=site1.example.org,OU=hosts,DC=example,DC=org"}
    - {name: apel, dn: "/DC=org/DC=example/OU=hosts/CN=apel.example.org"}
  acl:
    - {users: [site1], allow: [write, create], on: ["/queue/global.accounting.>"]}
    - {users: [apel], allow: [read, create], on: ["/queue/global.accounting.>"]}
`)
	const queue = "/queue/global.accounting.cpu.central"

	t.Run("records", func(t *testing.T) {
		sender := ssm(t, s, n.Addr("stomp"), "site1")
		require.Equal(t, "1.1", sender.Expect("CONNECTED").Get("version"))
		for i := range 20 {
			id := fmt.Sprintf("691f3a%02d/691f3a%02d8c5d7e", i, i) // where it lies on the sender's disk
			sender.Send("SEND", smime, fmt.Sprintf("content-length:%d", len(smime)), "destination:"+queue, "empa-id:"+id, "receipt:"+id)
			// It waits for this for ever.
			require.Equal(t, id, sender.Expect("RECEIPT").Get("receipt-id"))
		}
		// So that the connection stays: a transaction with a name that is a dictionary of Python.
		for _, name := range []string{"{'transaction': '1763700000.5'}", `{'transaction'\c '1763700001.25'}`} {
			sender.Send("BEGIN", "", "transaction:"+name)
			sender.Send("ABORT", "", "transaction:"+name)
		}
		sender.Ask("SEND", "", "destination:"+queue, "empa-id:ping") // no ERROR has come before this
		sender.Send("DISCONNECT", "", "receipt:bye")
		require.Equal(t, "bye", sender.Expect("RECEIPT").Get("receipt-id"))

		receiver := ssm(t, s, n.Addr("stomp"), "apel")
		receiver.Expect("CONNECTED")
		receiver.Send("SUBSCRIBE", "", "ack:auto", "destination:"+queue, "id:1")
		for i := range 20 {
			m := receiver.Expect("MESSAGE")
			require.Equal(t, fmt.Sprintf("691f3a%02d/691f3a%02d8c5d7e", i, i), m.Get("empa-id"))
			require.Equal(t, smime, m.Body)
		}
		require.Equal(t, "ping", receiver.Expect("MESSAGE").Get("empa-id"))
	})

	t.Run("unknownCertificate", func(t *testing.T) {
		refused := ssm(t, s, n.Addr("stomp"), "nobody")
		words := refused.Expect("ERROR").Get("message")
		require.Empty(t, refused.Closed())
		// What it looks for, and the part that it shows.
		require.Contains(t, words, "No user for client certificate: ")
		require.Equal(t, " CN=nobody.example.org, OU=hosts, DC=example, DC=org", strings.Split(words, ":")[1])
	})

	t.Run("noRight", func(t *testing.T) {
		sender := ssm(t, s, n.Addr("stomp"), "site1")
		sender.Expect("CONNECTED")
		sender.Send("SEND", smime, "destination:/queue/other", "empa-id:a", "receipt:a")
		f := sender.Expect("ERROR")
		require.Equal(t, "a", f.Get("receipt-id"))
		sender.Ask("SEND", smime, "destination:"+queue, "empa-id:b")
	})
}
