package app

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
)

// Secret is a password, a token or what stands for one, in a configuration: the text itself, or where it is: "file:PATH",
// "env:NAME" or "credential:NAME" (systemd's). It never shows itself.
type Secret string

// masked stands for a secret wherever one would be shown.
const masked = "********"

// UnmarshalText takes any text.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = Secret(text)
	return nil
}

// String hides it, unless it only says where the secret is or that there is none.
func (s Secret) String() string {
	if s == "" || s.elsewhere() {
		return string(s)
	}
	return masked
}

// GoString hides it as String does.
func (s Secret) GoString() string { return s.String() }

// MarshalText writes String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Secret) elsewhere() bool {
	for _, scheme := range []string{"file:", "env:", "credential:"} {
		if strings.HasPrefix(string(s), scheme) {
			return true
		}
	}
	return false
}

// maxSecret bounds a secret in bytes, wherever it comes from.
const maxSecret = 64 << 10

// secrets fetches secrets from where they are.
type secrets struct {
	environ []string
	// beside is the directory of the configuration file.
	beside string
	// warnings gathers what the owner of a file should know.
	warnings []string
}

// notHere is that the environment has not what a secret was to come from.
type notHere string

func (n notHere) Error() string { return string(n) }

// read returns the secret itself. A line break at its end is no part of it.
func (r *secrets) read(s Secret) (string, error) {
	scheme, rest, found := strings.Cut(string(s), ":")
	if !found {
		return string(s), nil
	}
	switch scheme {
	case "file":
		return r.file(string(beside(r.beside, File(rest))))
	case "env":
		v := environment(r.environ, rest)
		if v == "" {
			return "", notHere("the environment variable " + rest + " is empty")
		}
		return v, nil
	case "credential":
		dir := environment(r.environ, "CREDENTIALS_DIRECTORY")
		if dir == "" {
			return "", notHere("there are no credentials: $CREDENTIALS_DIRECTORY is empty")
		}
		if rest != filepath.Base(rest) {
			return "", fmt.Errorf("%q is not the name of a credential", rest)
		}
		return r.file(filepath.Join(dir, rest))
	}
	return string(s), nil
}

func (r *secrets) file(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if info.Mode().Perm()&0o007 != 0 {
		r.warnings = append(r.warnings, fmt.Sprintf("the secret in %s can be read by everybody on this machine (mode %04o); chmod 600 is better", path, info.Mode().Perm()))
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	switch {
	case err != nil:
		return "", err
	case len(text) > maxSecret:
		return "", fmt.Errorf("%s is longer than %d bytes", path, maxSecret)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return secret, nil
}

// File is a path in a configuration. Where it does not begin with a slash it is looked for beside the configuration file, and then
// in the working directory.
type File string

// UnmarshalText takes any text.
func (f *File) UnmarshalText(text []byte) error {
	*f = File(text)
	return nil
}

// beside finds a file that a configuration in dir names.
func beside(dir string, f File) File {
	if f == "" || filepath.IsAbs(string(f)) || dir == "" {
		return f
	}
	there := filepath.Join(dir, string(f))
	if _, err := os.Stat(there); err == nil {
		return File(there)
	}
	if _, err := os.Stat(string(f)); err == nil {
		return f
	}
	return File(there)
}

// locate makes every File in v the path where it is.
func locate(v reflect.Value, dir string) {
	switch {
	case v.Type() == reflect.TypeFor[File]():
		v.SetString(string(beside(dir, File(v.String()))))
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			locate(v.Elem(), dir)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			locate(v.Index(i), dir)
		}
	case v.Kind() == reflect.Struct && !isScalar(v.Type()):
		for i := range v.NumField() {
			locate(v.Field(i), dir)
		}
	}
}
