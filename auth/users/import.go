package users

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/auth/dn"
)

// Imported is what other software's files say. The users are fit for NewDirectory; what is not is left out, and Notes say so.
type Imported struct {
	Users  []User
	Groups []Group
	// Notes are for the operator: what was left out or changed, and in which line. They hold no secret.
	Notes []string
}

// ActiveMQ are the files of ActiveMQ's login modules; nil ones are left out.
type ActiveMQ struct {
	// Users is users.properties: name=password.
	Users io.Reader
	// Groups is groups.properties: group=name,name.
	Groups io.Reader
	// Certificates is the file of TextFileCertificateLoginModule: name=subject.
	Certificates io.Reader
	// Hash makes what is kept of a password in clear; nil: Hash of this package.
	Hash func(password string) (string, error)
}

// Import reads ActiveMQ's files. Passwords that are encrypted are not guessed: their users come without, and a note says so.
func (a ActiveMQ) Import() (Imported, error) {
	if a.Hash == nil {
		a.Hash = Hash
	}
	var in Imported
	err := errors.Join(
		in.each("users", a.Users, func(p property) error { return in.password(p, a.Hash) }),
		in.each("groups", a.Groups, func(p property) error { in.group(p); return nil }),
		in.each("certificates", a.Certificates, in.certificate),
	)
	return in, err
}

func (in *Imported) each(file string, r io.Reader, do func(property) error) error {
	if r == nil {
		return nil
	}
	text, err := readFile(r)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	all, err := parseProperties(text)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	last := map[string]int{} // the later line wins, as in Java
	for i, p := range all {
		last[p.key] = i
	}
	for i, p := range all {
		err := checkName(p.key)
		switch {
		case err != nil:
			in.note("%s, line %d: left out: %v", file, p.line, err)
			continue
		case last[p.key] != i:
			in.note("%s, line %d: left out: %q comes again in line %d, which is the one that counts", file, p.line, p.key, all[last[p.key]].line)
			continue
		}
		if err := do(p); err != nil {
			in.note("%s, line %d: %q: %v", file, p.line, p.key, err)
		}
	}
	return nil
}

func (in *Imported) note(format string, args ...any) {
	in.Notes = append(in.Notes, fmt.Sprintf(format, args...))
}

// user returns the user of that name, who may be new. The pointer is good until the next call.
func (in *Imported) user(name string) *User {
	i := slices.IndexFunc(in.Users, func(u User) bool { return u.Name == name })
	if i < 0 {
		in.Users = append(in.Users, User{Name: name})
		i = len(in.Users) - 1
	}
	return &in.Users[i]
}

func (in *Imported) password(p property, hash func(string) (string, error)) error {
	u := in.user(p.key)
	if strings.HasPrefix(p.value, "ENC(") && strings.HasSuffix(p.value, ")") {
		return errors.New("the password is encrypted, ENC(...): the user comes without one")
	}
	stored, err := hash(p.value)
	if err != nil {
		return fmt.Errorf("the user comes without a password: %w", err)
	}
	u.Password = stored
	return nil
}

func (in *Imported) group(p property) {
	g := Group{Name: p.key}
	for m := range strings.SplitSeq(p.value, ",") {
		if m = strings.TrimSpace(m); m != "" {
			g.Members = append(g.Members, m)
		}
	}
	in.Groups = append(in.Groups, g)
}

func (in *Imported) certificate(p property) error {
	if len(p.value) > 1 && strings.HasPrefix(p.value, "/") && strings.HasSuffix(p.value, "/") {
		return errors.New("the subject is left out: it is a regular expression; write down the subjects")
	}
	n, err := dn.Parse(p.value)
	if err != nil {
		return fmt.Errorf("the subject is left out: %w", err)
	}
	u := in.user(p.key)
	u.DNs = append(u.DNs, n.String())
	return nil
}

// ImportHashes reads lines "name:hash", as htpasswd writes them. Empty lines and those that begin with "#" are left out; so are,
// with a note, hashes that NewDirectory would refuse.
func ImportHashes(r io.Reader) (Imported, error) {
	var in Imported
	text, err := readFile(r)
	if err != nil {
		return in, err
	}
	seen := map[string]bool{}
	number := 0
	for s := range strings.Lines(text) {
		number++
		s = strings.TrimSpace(s)
		if s == "" || s[0] == '#' {
			continue
		}
		name, hash, found := strings.Cut(s, ":")
		if !found {
			in.note("line %d: left out: it has not the form name:hash", number)
			continue
		}
		if err := checkName(name); err != nil {
			in.note("line %d: left out: %v", number, err)
			continue
		}
		if seen[name] {
			in.note("line %d: left out: %q has been there before", number, name)
			continue
		}
		seen[name] = true
		_, clear, err := parseSecret(hash)
		if clear || hash == "" {
			err = errors.New("this is no hash that is known here (argon2id, bcrypt and SHA-crypt are)")
		}
		if err != nil {
			in.note("line %d: %q comes without a password: %v", number, name, err)
			hash = ""
		}
		in.Users = append(in.Users, User{Name: name, Password: hash})
	}
	return in, nil
}
