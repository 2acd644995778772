package websocket

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// Whatever comes as a handshake, nobody gets in from a page that is not listed, and every refusal has words and a status.
func FuzzHandshake(f *testing.F) {
	f.Add("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: https://portal.example.org\r\n\r\n")
	f.Add("GET http://b/x HTTP/1.1\r\nHost: a\r\nUpgrade: h2c, websocket\r\nConnection: keep-alive, Upgrade\r\nOrigin: null\r\n\r\n")
	f.Add("CONNECT\naccept-version:1.2\n\n\x00")
	f.Add("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	f.Add("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://portal.example.org@evil\r\nAuthorization: Bearer x\r\n\r\n")
	list, err := parseOrigins([]string{"https://portal.example.org"})
	require.NoError(f, err)
	s := &Server{origins: list}
	same := &Server{}
	f.Fuzz(func(t *testing.T, text string) {
		r, br, err := readRequest(strings.NewReader(text))
		var d *denial
		if err != nil {
			if errors.As(err, &d) {
				require.GreaterOrEqual(t, d.status, 400)
				require.NotEmpty(t, d.words)
			}
			return
		}
		require.LessOrEqual(t, br.Buffered(), readBuffer)
		for _, server := range []*Server{s, same} {
			if err := server.check(r); err != nil {
				require.ErrorAs(t, err, &d)
				require.NotEmpty(t, http.StatusText(d.status))
				continue
			}
			origin, here := r.Header.Values("Origin"), strings.ToLower(r.Host)
			require.LessOrEqual(t, len(origin), 1)
			if len(origin) == 1 && server == s {
				require.Equal(t, "https://portal.example.org", strings.ToLower(origin[0]))
			} else if len(origin) == 1 {
				require.Contains(t, strings.ToLower(origin[0]), strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(here, "443"), "80"), ":"))
			}
		}
		_ = introduce(gateway.Introduction{}, r.Header)
	})
}
