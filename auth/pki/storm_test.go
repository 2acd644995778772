package pki_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/auth/pki/pkitest"
)

// TestFilesChangeUnderAStormOfHandshakes has everybody look at the files at each handshake while all of them are written
// anew: nobody is refused who is good, nobody is let in who is revoked, and no handshake fails for half a pair.
func TestFilesChangeUnderAStormOfHandshakes(t *testing.T) {
	w := newWorld(t, func(w *world) {
		inDirectory("access_id_CA X509 '/DC=org/DC=example/CN=Test CA'\npos_rights globus CA:sign\ncond_subjects globus '\"*\"'")(w)
		w.config.Refresh = time.Nanosecond
	})
	alice, bob := w.issue("/CN=alice"), w.issue("/CN=bob")
	bad := pkitest.List{Revoked: certs([]*pkitest.Pair{bob})}
	require.NoError(t, w.ca.InstallCRL(w.config.ClientCADir, bad))
	require.NoError(t, w.server.Reload())
	stop := make(chan struct{})
	var writing, dialling sync.WaitGroup
	writing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			w.pass(time.Microsecond)
			host, err := w.ca.Issue(pkitest.Slash("/CN=localhost"), pkitest.DNSNames("localhost"))
			if err == nil {
				_, _, err = host.Write(w.dir, "host")
			}
			if err == nil {
				err = w.ca.InstallCRL(w.config.ClientCADir, bad)
			}
			if err == nil {
				err = w.ca.Install(w.config.ClientCADir, "")
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	config := w.server.TLS()
	for range 4 {
		dialling.Go(func() {
			for i := range 16 {
				who := alice
				if i%2 == 1 {
					who = bob
				}
				v := handshake(t, w.server, config, w.clientConfig(who, nil), false)
				if v.client != nil || v.handshake != nil || (v.err != nil) != (who == bob) {
					t.Error(v.client, v.handshake, v.err)
				}
			}
		})
	}
	dialling.Wait()
	close(stop)
	writing.Wait()
}
