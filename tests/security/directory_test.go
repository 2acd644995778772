package security

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"
	"github.com/stretchr/testify/require"
)

// directory is as much of an LDAP server as Sluice asks for: people with passwords, and groups with members.
type directory struct {
	people  map[string]string   // uid to password
	members map[string][]string // group to uids

	in     net.Listener
	served sync.WaitGroup
	mu     sync.Mutex
	open   []net.Conn
	closed bool
}

const (
	peopleBase = "ou=people,dc=example,dc=org"
	groupsBase = "ou=groups,dc=example,dc=org"
)

func startDirectory(t testing.TB, people map[string]string, members map[string][]string) *directory {
	t.Helper()
	in, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	d := &directory{people: people, members: members, in: in}
	d.served.Go(d.accept)
	t.Cleanup(d.close)
	return d
}

func (d *directory) url() string { return "ldap://" + d.in.Addr().String() }

func (d *directory) accept() {
	for {
		c, err := d.in.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		d.open = append(d.open, c)
		late := d.closed
		d.mu.Unlock()
		if late {
			_ = c.Close()
			continue
		}
		d.served.Go(func() { d.serve(c) })
	}
}

func (d *directory) close() {
	_ = d.in.Close()
	d.mu.Lock()
	d.closed = true
	for _, c := range d.open {
		_ = c.Close()
	}
	d.mu.Unlock()
	d.served.Wait()
}

func (d *directory) serve(c net.Conn) {
	defer c.Close()
	for {
		p, err := ber.ReadPacket(c)
		if err != nil || len(p.Children) < 2 {
			return
		}
		id, asked := p.Children[0].Value.(int64), p.Children[1]
		switch asked.Tag {
		case ldap.ApplicationBindRequest:
			d.answer(c, id, ldap.ApplicationBindResponse, d.bind(asked.Children[1].Value.(string), asked.Children[2].Data.String()))
		case ldap.ApplicationSearchRequest:
			base := asked.Children[0].Value.(string)
			for dn, attributes := range d.find(base, asked.Children[6]) {
				d.say(c, id, found(dn, attributes))
			}
			d.answer(c, id, ldap.ApplicationSearchResultDone, 0)
		default:
			return
		}
	}
}

func personDN(uid string) string { return "uid=" + uid + "," + peopleBase }

func (d *directory) bind(dn, password string) int64 {
	if dn == "" && password == "" {
		return 0
	}
	for uid, secret := range d.people {
		if strings.EqualFold(dn, personDN(uid)) && password == secret {
			return 0
		}
	}
	return ldap.LDAPResultInvalidCredentials
}

// find finds people by any equality in the filter, and groups by their members.
func (d *directory) find(base string, filter *ber.Packet) map[string]map[string]string {
	all, wanted := map[string]map[string]string{}, equalities(filter)
	for uid := range d.people {
		if strings.EqualFold(base, peopleBase) && slices.Contains(wanted, uid) || strings.EqualFold(base, personDN(uid)) {
			all[personDN(uid)] = map[string]string{"uid": uid}
		}
	}
	for group, uids := range d.members {
		if strings.EqualFold(base, groupsBase) && slices.ContainsFunc(uids, func(uid string) bool { return slices.Contains(wanted, personDN(uid)) }) {
			all["cn="+group+","+groupsBase] = map[string]string{"cn": group}
		}
	}
	return all
}

func equalities(f *ber.Packet) (values []string) {
	if f.Tag == ldap.FilterEqualityMatch {
		return []string{f.Children[1].Data.String()}
	}
	for _, c := range f.Children {
		values = append(values, equalities(c)...)
	}
	return values
}

func found(dn string, attributes map[string]string) *ber.Packet {
	list := ber.NewSequence("")
	for name, value := range attributes {
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		values.AppendChild(octets(value))
		one := ber.NewSequence("")
		one.AppendChild(octets(name))
		one.AppendChild(values)
		list.AppendChild(one)
	}
	entry := ber.Encode(ber.ClassApplication, ber.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	entry.AppendChild(octets(dn))
	entry.AppendChild(list)
	return entry
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

func (d *directory) answer(c net.Conn, id int64, tag ber.Tag, code int64) {
	r := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	r.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, code, ""))
	r.AppendChild(octets(""))
	r.AppendChild(octets(""))
	d.say(c, id, r)
}

func (d *directory) say(c net.Conn, id int64, r *ber.Packet) {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, id, ""))
	p.AppendChild(r)
	_, _ = c.Write(p.Bytes())
}
