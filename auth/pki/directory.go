package pki

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// maxEntries is how many files a directory of authorities may hold. The IGTF's has less than a thousand.
const maxEntries = 20_000

// role is what a file in a directory of authorities is for.
type role int

const (
	noRole role = iota
	roleAuthority
	roleList
	rolePolicy
)

var (
	hashedAuthority = regexp.MustCompile(`^([0-9a-fA-F]{8})\.[0-9]{1,3}$`)
	hashedList      = regexp.MustCompile(`^([0-9a-fA-F]{8})\.r[0-9]{1,3}$`)
)

// roleOf tells by a file's name what it is for, and the base that it shares with the other files of its authority.
func roleOf(name string) (r role, base string) {
	if m := hashedAuthority.FindStringSubmatch(name); m != nil {
		return roleAuthority, strings.ToLower(m[1])
	}
	if m := hashedList.FindStringSubmatch(name); m != nil {
		return roleList, strings.ToLower(m[1])
	}
	switch base, ending := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name); ending {
	case ".pem", ".crt":
		return roleAuthority, base
	case ".signing_policy":
		return rolePolicy, base
	}
	return noRole, ""
}

// entry is a file of a directory of authorities.
type entry struct{ file, base string }

// directory is what is in a directory of authorities, by role.
type directory map[role][]entry

// listDirectory reads the names in a directory of authorities, sorted.
func listDirectory(dir string) (directory, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("%s: there are more than %d files", dir, maxEntries)
	}
	d := directory{}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		if r, base := roleOf(e.Name()); r != noRole {
			d[r] = append(d[r], entry{filepath.Join(dir, e.Name()), base})
		}
	}
	return d, nil
}

// authorityName is an authority's name as policies write it. No policy can be about one whose name is no text.
func authorityName(der []byte) string {
	name, err := plain(der)
	if err != nil {
		return "der:" + string(der)
	}
	return name
}

// govern takes the signing policies of a directory in. byBase are its authorities by the base of their files.
func (t *trust) govern(policies []entry, shelf *shelf[policy], byBase map[string][]*x509.Certificate) {
	for _, e := range policies {
		b := shelf.books[e.file]
		for _, c := range byBase[e.base] {
			if b.good {
				t.governed[authorityName(c.RawSubject)] = true
			} else {
				t.unclear[authorityName(c.RawSubject)] = true
			}
		}
		for name, patterns := range b.says {
			t.governed[name] = true
			t.patterns[name] = append(t.patterns[name], patterns...)
		}
	}
}
