package ldap_test

import (
	"crypto/tls"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"
)

// entry is one of a directory: attributes in lower case. What is called userpassword is for binding.
type entry map[string][]string

// server is as much of an LDAP server as a client like ours asks for.
type server struct {
	t       *testing.T
	address string
	stop    net.Listener
	secure  *tls.Config // for StartTLS, or from the start with ldaps
	ldaps   bool
	served  sync.WaitGroup

	mu      sync.Mutex
	entries map[string]entry // by DN
	open    []net.Conn
	log     []string // what was asked: "bind DN", "search BASE FILTER as DN", "starttls"
	// members: nobody but who has bound may search.
	members bool
	// answer, if it is there, may give the result of a question instead.
	answer func(what string) (code uint16, instead bool)
	hang   chan struct{} // questions wait until it is closed
	limit  int
	babble bool // searches never end
}

func newServer(t *testing.T, change func(*server)) *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{t: t, address: l.Addr().String(), stop: l, limit: 500, entries: map[string]entry{
		"uid=alice,ou=people,dc=x":        {"uid": {"alice"}, "mail": {"Alice@example.org"}, "userpassword": {"secret"}},
		"uid=Bob,ou=people,dc=x":          {"uid": {"Bob"}, "userpassword": {"hunter2"}},
		`cn=Smith\, Eve,ou=people,dc=x`:   {"uid": {"eve"}, "userpassword": {"apple"}},
		"cn=nameless,ou=people,dc=x":      {"mail": {"nameless"}, "userpassword": {"secret"}},
		"cn=finder,dc=x":                  {"userpassword": {"finderpass"}},
		"cn=ops,ou=groups,dc=x":           {"cn": {"ops"}, "member": {"uid=alice,ou=people,dc=x", "uid=Bob,ou=people,dc=x"}},
		"cn=dev,ou=groups,dc=x":           {"cn": {"dev", "developers"}, "memberuid": {"alice"}},
		"cn=secret,ou=groups,dc=x":        {"cn": {"secret"}, "uniquemember": {`cn=Smith\, Eve,ou=people,dc=x`}},
		"cn=with\nnewline,ou=groups,dc=x": {"cn": {"a\nb"}, "memberuid": {"alice"}},
		"cn=everybody,ou=elsewhere,dc=x":  {"cn": {"everybody"}, "memberuid": {"alice"}},
		"uid=alice,ou=elsewhere,dc=x":     {"uid": {"alice"}, "userpassword": {"other"}},
		"uid=twin,ou=a,ou=people,dc=x":    {"uid": {"twin"}, "userpassword": {"secret"}},
		"uid=twin,ou=b,ou=people,dc=x":    {"uid": {"twin"}, "userpassword": {"secret"}},
		"uid=x*)(uid=y,ou=people,dc=x":    {"uid": {"x*)(uid=y"}, "userpassword": {"secret"}},
		`uid=a\,b\+c,ou=people,dc=x`:      {"uid": {"a,b+c"}, "userpassword": {"secret"}},
		"uid=disabled,ou=people,dc=x":     {"uid": {"disabled"}},
	}}
	if change != nil {
		change(s)
	}
	s.served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.open = append(s.open, c)
			s.mu.Unlock()
			s.served.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(s.close)
	return s
}

func (s *server) close() {
	s.stop.Close()
	s.cut()
	s.mu.Lock()
	if s.hang != nil {
		close(s.hang)
		s.hang = nil
	}
	s.mu.Unlock()
	s.served.Wait()
}

// cut ends all connections.
func (s *server) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		c.Close()
	}
	s.open = nil
}

func (s *server) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// asked takes what was asked since the last time.
func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	log := s.log
	s.log = nil
	return log
}

// with changes the server under its lock.
func (s *server) with(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *server) serve(c net.Conn) {
	defer c.Close()
	if s.ldaps {
		c = tls.Server(c, s.secure)
	}
	who := ""
	for {
		p, err := ber.ReadPacket(c)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, op := p.Children[0].Value.(int64), p.Children[1]
		switch op.Tag {
		case ldap.ApplicationBindRequest:
			name, pass := op.Children[1].Value.(string), op.Children[2].Data.String()
			code := s.judge("bind "+name, func() uint16 { return s.bind(name, pass) })
			who = ""
			if code == 0 {
				who = name
			}
			reply(c, id, ldap.ApplicationBindResponse, code)
		case ldap.ApplicationSearchRequest:
			s.search(c, id, op, who)
		case ldap.ApplicationExtendedRequest:
			code := s.judge("starttls", func() uint16 { return 0 })
			reply(c, id, ldap.ApplicationExtendedResponse, code)
			if code == 0 {
				c = tls.Server(c, s.secure)
			}
		default:
			return
		}
	}
}

// judge writes a question down, and finds its result.
func (s *server) judge(what string, usual func() uint16) uint16 {
	s.mu.Lock()
	s.log = append(s.log, what)
	answer, hang := s.answer, s.hang
	s.mu.Unlock()
	if hang != nil {
		<-hang
	}
	if answer != nil {
		if code, instead := answer(what); instead {
			return code
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return usual()
}

// bind is as generous as servers are: without a passcode everybody is welcome.
func (s *server) bind(name, pass string) uint16 {
	if pass == "" {
		return 0
	}
	for dn, e := range s.entries {
		if strings.EqualFold(dn, name) && slices.Contains(e["userpassword"], pass) {
			return 0
		}
	}
	return ldap.LDAPResultInvalidCredentials
}

func (s *server) search(c net.Conn, id int64, op *ber.Packet, who string) {
	base, scope, limit := op.Children[0].Value.(string), op.Children[1].Value.(int64), op.Children[3].Value.(int64)
	filter, _ := ldap.DecompileFilter(op.Children[6])
	var found []string
	code := s.judge("search "+base+" "+filter+" as "+who, func() uint16 {
		if s.members && who == "" {
			return ldap.LDAPResultInsufficientAccessRights
		}
		for dn, e := range s.entries {
			inside := strings.EqualFold(dn, base) || scope == ldap.ScopeWholeSubtree && strings.HasSuffix(strings.ToLower(dn), ","+strings.ToLower(base))
			if inside && matches(op.Children[6], e) {
				found = append(found, dn)
			}
		}
		if n := min(int(limit), s.limit); n > 0 && len(found) > n {
			found = found[:n]
			return ldap.LDAPResultSizeLimitExceeded
		}
		return 0
	})
	for i := 0; i < len(found); {
		s.mu.Lock()
		dn := found[i]
		e, babble := s.entries[dn], s.babble
		s.mu.Unlock()
		if !babble {
			i++
		}
		if send(c, id, item(dn, e, op.Children[7])) != nil {
			return
		}
	}
	reply(c, id, ldap.ApplicationSearchResultDone, code)
}

func item(dn string, e entry, wanted *ber.Packet) *ber.Packet {
	r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	r.AppendChild(octets(dn))
	attributes := ber.NewSequence("")
	for _, w := range wanted.Children {
		name := w.Value.(string)
		if values := e[strings.ToLower(name)]; len(values) > 0 {
			a := ber.NewSequence("")
			a.AppendChild(octets(strings.ToUpper(name))) // servers write names as they like
			set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
			for _, v := range values {
				set.AppendChild(octets(v))
			}
			a.AppendChild(set)
			attributes.AppendChild(a)
		}
	}
	r.AppendChild(attributes)
	return r
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func reply(c net.Conn, id int64, tag ber.Tag, code uint16) {
	r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, int64(code), ""))
	r.AppendChild(octets(""))
	r.AppendChild(octets("says the server"))
	_ = send(c, id, r)
}

func send(c net.Conn, id int64, r *ber.Packet) error {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(r)
	_, err := c.Write(p.Bytes())
	return err
}

// matches evaluates a filter as far as it is used here.
func matches(f *ber.Packet, e entry) bool {
	switch f.Tag {
	case ldap.FilterAnd:
		return !slices.ContainsFunc(f.Children, func(c *ber.Packet) bool { return !matches(c, e) })
	case ldap.FilterOr:
		return slices.ContainsFunc(f.Children, func(c *ber.Packet) bool { return matches(c, e) })
	case ldap.FilterEqualityMatch:
		name, value := f.Children[0].Data.String(), f.Children[1].Data.String()
		return slices.ContainsFunc(e[strings.ToLower(name)], func(v string) bool { return strings.EqualFold(v, value) })
	case ldap.FilterPresent:
		return true
	}
	return false
}
