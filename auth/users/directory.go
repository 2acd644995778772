package users

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/auth/dn"
)

// MaxName is the longest name of a user or group, in bytes.
const MaxName = 256

// User is somebody as a file has it.
type User struct {
	// Name has 1 to MaxName bytes of UTF-8 and no control characters.
	Name string
	// Password is a hash: argon2id, bcrypt or SHA-crypt; or clear text, of which Warnings speak. Empty: there is none.
	Password string
	// Token is "sha256:" and the sum of an opaque token in hexadecimal; or the token itself, of which Warnings speak. Empty: there is none.
	Token string
	// DNs are the subjects of the user's certificates, in any form that dn.Parse reads.
	DNs []string
	// SANs are alternative names of the user's certificates: "dns:host.example.org", "email:a@example.org", "uri:spiffe://x/y".
	SANs []string
	// Groups the user is in, beside those that list the user.
	Groups []string
	// Disabled users are refused, whatever they show.
	Disabled bool
}

// Group lists its members, who may be people that others know, of an LDAP server perhaps.
type Group struct {
	Name    string
	Members []string
}

// Directory is what is known of people at one time. Immutable, so safe for concurrent use.
type Directory struct {
	byName   map[string]*member
	byToken  map[[sha256.Size]byte]*member
	byDN     map[string]*member
	bySAN    map[string]*member
	lists    map[string][]string // the groups of people whom a group lists
	secrets  []secret            // of all members, for decoys
	warnings []string
}

type member struct {
	name     string
	secret   secret // nil: no password
	stored   string // the password as it is kept
	token    *[sha256.Size]byte
	dns      []string // keys
	sans     []string
	groups   []string
	disabled bool
}

// NewDirectory reads users and groups. Its error names every user that is wrong and says why, without repeating a secret.
func NewDirectory(all []User, groups []Group) (*Directory, error) {
	d := &Directory{
		byName:  make(map[string]*member, len(all)),
		byToken: map[[sha256.Size]byte]*member{},
		byDN:    map[string]*member{},
		bySAN:   map[string]*member{},
		lists:   map[string][]string{},
	}
	var wrong []error
	seen := map[string]bool{}
	for _, g := range groups {
		if err := checkName(g.Name); err != nil {
			wrong = append(wrong, fmt.Errorf("group %.64q: %w", g.Name, err))
		} else if seen[g.Name] {
			wrong = append(wrong, fmt.Errorf("group %q is there twice", g.Name))
		}
		seen[g.Name] = true
		for _, m := range g.Members {
			d.lists[m] = append(d.lists[m], g.Name)
		}
	}
	for i, u := range all {
		if err := d.add(u); err != nil {
			if u.Name == "" {
				err = fmt.Errorf("the %d. user: %w", i+1, err)
			} else {
				err = fmt.Errorf("user %.64q: %w", u.Name, err)
			}
			wrong = append(wrong, err)
		}
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	for name := range d.lists {
		d.lists[name] = unique(d.lists[name])
	}
	return d, nil
}

func (d *Directory) add(u User) error {
	if err := checkName(u.Name); err != nil {
		return err
	}
	if d.byName[u.Name] != nil {
		return errors.New("the name is there twice")
	}
	m := &member{name: u.Name, stored: u.Password, disabled: u.Disabled}
	d.byName[u.Name] = m
	for _, g := range u.Groups {
		if err := checkName(g); err != nil {
			return fmt.Errorf("group %.64q: %w", g, err)
		}
	}
	m.groups = unique(slices.Concat(u.Groups, d.lists[u.Name]))
	if u.Password != "" {
		s, clear, err := parseSecret(u.Password)
		if err != nil {
			return err
		}
		m.secret = s
		d.secrets = append(d.secrets, s)
		if clear {
			d.warn(u.Name, "the password is in clear; keep what `sluice user hash` makes of it")
		}
	}
	if err := d.addToken(m, u.Token); err != nil {
		return err
	}
	if err := d.addCertificates(m, u); err != nil {
		return err
	}
	if m.secret == nil && m.token == nil && len(m.dns) == 0 && len(m.sans) == 0 && !m.disabled {
		d.warn(u.Name, "there is no password, token or certificate, so nobody can log in")
	}
	return nil
}

func (d *Directory) addToken(m *member, stored string) error {
	if stored == "" {
		return nil
	}
	var sum [sha256.Size]byte
	if digits, hashed := strings.CutPrefix(stored, tokenPrefix); hashed {
		b, err := hex.DecodeString(digits)
		if err != nil || len(b) != len(sum) {
			return errors.New("the token has not the form sha256: and 64 hexadecimal digits")
		}
		copy(sum[:], b)
	} else {
		if len(stored) > MaxPasscode {
			return fmt.Errorf("the token is %d bytes long, the limit is %d", len(stored), MaxPasscode)
		}
		sum = sha256.Sum256([]byte(stored))
		d.warn(m.name, "the token is in clear; keep its sum, sha256:...")
		if len(stored) < 20 {
			d.warn(m.name, "the token is so short that it can be guessed")
		}
	}
	if o := d.byToken[sum]; o != nil {
		return fmt.Errorf("the token is that of user %q, too", o.name)
	}
	d.byToken[sum] = m
	m.token = &sum
	return nil
}

func (d *Directory) addCertificates(m *member, u User) error {
	for _, s := range u.DNs {
		n, err := dn.Parse(s)
		if err != nil {
			return fmt.Errorf("dn %.256q: %w", s, err)
		}
		key := n.Key()
		if o := d.byDN[key]; o != nil && o != m {
			return fmt.Errorf("dn %q is that of user %q, too", n, o.name)
		}
		d.byDN[key] = m
		m.dns = append(m.dns, key)
	}
	for _, s := range u.SANs {
		key, err := parseSAN(s)
		if err != nil {
			return fmt.Errorf("san %.256q: %w", s, err)
		}
		if o := d.bySAN[key]; o != nil && o != m {
			return fmt.Errorf("san %q is that of user %q, too", s, o.name)
		}
		d.bySAN[key] = m
		m.sans = append(m.sans, key)
	}
	return nil
}

func (d *Directory) warn(name, text string) {
	d.warnings = append(d.warnings, fmt.Sprintf("user %q: %s", name, text))
}

// Warnings say what should not stay as it is, each naming its user.
func (d *Directory) Warnings() []string { return slices.Clone(d.warnings) }

// Len returns how many users there are.
func (d *Directory) Len() int { return len(d.byName) }

// Listed returns the groups that list a name, sorted: those of people whom only others know.
func (d *Directory) Listed(name string) []string { return slices.Clone(d.lists[name]) }

func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("the name is empty")
	case len(s) > MaxName:
		return fmt.Errorf("the name is %d bytes long, the limit is %d", len(s), MaxName)
	case !utf8.ValidString(s):
		return errors.New("the name is not valid UTF-8")
	}
	for i, r := range s {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return fmt.Errorf("the name holds a control character at byte %d", i)
		}
	}
	return nil
}

func unique(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return slices.Compact(s)
}
