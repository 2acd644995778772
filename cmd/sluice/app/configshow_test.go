package app

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// spoken runs the program and returns what it wrote.
func spoken(t *testing.T, environ []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(args, Process{Stdout: &out, Stderr: &errs, Environ: environ, Exit: func(int) {}})
	return out.String(), errs.String(), code
}

func TestTheShownConfigurationIsTheSameOneWithoutSecrets(t *testing.T) {
	file := write(t, `
auth:
  users:
    - {name: alice, password: canary-1, groups: [ops]}
    - {name: bob, password: "env:CANARY"}
    - {name: robot, token: canary-2}
  ldap: {urls: ["ldap://localhost"], user_dn: "uid=%s", bind_password: canary-3}
  acl:
    - {groups: [ops], allow: [read], on: ["/queue/>"]}
`)
	out, _, code := spoken(t, nil, "config", "show", "--config", file)
	require.Zero(t, code)
	require.NotContains(t, out, "canary")
	require.Contains(t, out, `env:CANARY`)
	require.NoError(t, os.WriteFile("shown.yaml", []byte(out), 0o600))
	again, errs, code := spoken(t, nil, "config", "show", "--config", "shown.yaml")
	require.Zero(t, code, errs)
	require.Equal(t, out, again)
}

func TestTheDefaultsAreShownWithoutSections(t *testing.T) {
	out, errs, code := spoken(t, []string{"SLUICE_CONFIG=" + write(t, "")}, "config", "show")
	require.Zero(t, code, errs)
	require.NoError(t, os.WriteFile("shown.yaml", []byte(out), 0o600))
	require.Equal(t, Default(), load(t, Sources{File: "shown.yaml"}))
}

func TestSecretsAreFetchedFromWhereTheyAre(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("s", []byte("from a file\n"), 0o600))
	require.NoError(t, os.WriteFile("open", []byte("seen by all"), 0o604))
	require.NoError(t, os.Chmod("open", 0o604))
	require.NoError(t, os.WriteFile("empty", []byte("\n"), 0o600))
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/c", []byte("from systemd"), 0o400))
	r := &secrets{environ: []string{"X=from the environment", "CREDENTIALS_DIRECTORY=" + dir}, beside: "."}
	for s, want := range map[Secret]string{
		"itself": "itself", "with:colon": "with:colon", "$argon2id$v=19": "$argon2id$v=19",
		"file:s": "from a file", "env:X": "from the environment", "credential:c": "from systemd",
	} {
		got, err := r.read(s)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.Empty(t, r.warnings)
	for s, text := range map[Secret]string{
		"file:none": "no such file", "file:empty": "is empty", "env:Y": "environment variable Y is empty", "credential:../c": "is not the name of a credential",
	} {
		_, err := r.read(s)
		require.ErrorContains(t, err, text)
	}
	got, err := r.read("file:open")
	require.NoError(t, err)
	require.Equal(t, "seen by all", got)
	require.Len(t, r.warnings, 1)
	require.Contains(t, r.warnings[0], "open can be read by everybody")
	_, err = (&secrets{}).read("credential:c")
	require.ErrorContains(t, err, "$CREDENTIALS_DIRECTORY is empty")
}
