package app

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// call makes a request to the door for HTTP Pub/Sub.
func (p *program) call(method, path, token, body string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequest(method, "http://"+p.addr["pubsub"]+"/v1"+path, strings.NewReader(body))
	require.NoError(p.t, err)
	r.Header.Set("X-Api-Key", token)
	client := http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	require.NoError(p.t, err)
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	require.NoError(p.t, err)
	return res.StatusCode, string(answer)
}

// A node to which nobody gave a service token makes one, for its owner's eyes, and keeps it. With it the first project and user are made.
func TestTheFirstAdministrator(t *testing.T) {
	t.Chdir(t.TempDir())
	p := launch(t, free("serve", "--dev")...)
	p.await("ready")
	file := filepath.Join("data", serviceTokenFile)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	token := strings.TrimSpace(string(text))
	require.Len(t, token, 64)
	code, said := p.call("POST", "/projects/P", token, `{"description":"the first"}`)
	require.Equal(t, http.StatusOK, code, said)
	code, said = p.call("POST", "/users/ann", token, `{"email":"ann@x","service_roles":["service_admin"]}`)
	require.Equal(t, http.StatusOK, code, said)
	code, said = p.call("GET", "/projects", "another token", "")
	require.Equal(t, http.StatusUnauthorized, code, said)
	require.Contains(t, said, `"Unauthorized"`)
	code, said = p.call("GET", "/version", token, "")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, said, `"golang"`)
	_, figures := p.get("/metrics")
	require.Contains(t, figures, fmt.Sprintf(`sluice_connections_accepted_total{listener=%q} 4`, p.addr["pubsub"]))
	require.Contains(t, figures, `sluice_pubsub_requests_total{call="POST /v1/users/{user}",codes="2xx"} 1`)
	require.Contains(t, figures, `sluice_pubsub_requests_total{call="GET /v1/projects",codes="4xx"} 1`)
	require.Contains(t, figures, `sluice_pubsub_objects{kind="project"} 1`)
	code, said = p.call("GET", "/metrics", token, "")
	require.Equal(t, http.StatusOK, code)
	require.Regexp(t, `"value": [0-9]*[.1-9]`, said, "memory, at least")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Zero(t, p.exit())

	p = launch(t, free("serve", "--dev")...)
	p.await("ready")
	code, said = p.call("GET", "/projects/P", token, "")
	require.Equal(t, http.StatusOK, code, said)
	for _, order := range []string{"drain", "undrain"} {
		code, out, errs := command(nil, order, "--data-dir", "data")
		require.Zero(t, code, out+errs)
	}
	code, said = p.call("GET", "/projects/P", token, "")
	require.Equal(t, http.StatusOK, code, said)
	require.Contains(t, said, "the first")
}

// What a node says of itself to clients that ask for the version.
func TestTheDistribution(t *testing.T) {
	file := filepath.Join(t.TempDir(), "os-release")
	require.Empty(t, distribution(file))
	require.NoError(t, os.WriteFile(file, []byte("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"), 0o600))
	require.Equal(t, "Debian GNU/Linux 12 (bookworm)", distribution(file))
	require.NoError(t, os.WriteFile(file, []byte("NAME=x\n"), 0o600))
	require.Empty(t, distribution(file))
}

func TestASecretInTheConfigurationIsWarnedOf(t *testing.T) {
	warned := func(text string) []string {
		_, warnings, err := Load(Sources{File: write(t, text)})
		require.NoError(t, err)
		return warnings
	}
	require.Len(t, warned("pubsub: {service_token: 0123456789abcdef}\n"), 1)
	require.Empty(t, warned("pubsub: {service_token: \"file:service.token\"}\n"))
}
