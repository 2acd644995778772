package app

import (
	"fmt"
	"net/url"
	"strings"
)

// guarded wants somebody at the door that others can reach.
func (v *validator) guarded(c Config) {
	if c.AuditFile != "" && c.Audit == AuditOff {
		v.say("audit_file", `is of no use while audit is "off"`)
	}
	if c.Auth != nil {
		v.auth(*c.Auth)
		return
	}
	for i, l := range c.Listeners {
		if !l.Address.Loopback() && l.Address != (Address{}) {
			v.say(fmt.Sprintf("listeners[%d].address", i), "%v can be reached from other machines, and there is no auth section that says who may come in (auth: {anonymous: true} lets everybody)", l.Address)
		}
	}
}

func (v *validator) auth(a Auth) {
	names := map[string]int{}
	for i, u := range a.Users {
		path := fmt.Sprintf("auth.users[%d]", i)
		if u.Name == "" {
			v.say(path, "has no name")
		} else if j, twice := names[u.Name]; twice {
			v.say(path+".name", "%q is already auth.users[%d]", u.Name, j)
		}
		names[u.Name] = i
		if u.Password != "" && u.PasswordFile != "" {
			v.say(path+".password_file", "password and password_file exclude one another")
		}
		if u.Token != "" && u.TokenFile != "" {
			v.say(path+".token_file", "token and token_file exclude one another")
		}
		if u.Password == "" && u.PasswordFile == "" && u.Token == "" && u.TokenFile == "" && u.DN == "" && len(u.DNs)+len(u.SANs) == 0 {
			v.say(path, "has neither password nor token nor dn: nobody can be it")
		}
	}
	for i, s := range a.Issuers {
		v.issuer(fmt.Sprintf("auth.issuers[%d]", i), s)
	}
	if a.LDAP != nil {
		v.ldap(*a.LDAP)
	}
	for i, r := range a.ACL {
		path := fmt.Sprintf("auth.acl[%d]", i)
		if len(r.Users)+len(r.Groups) == 0 {
			v.say(path, `has neither users nor groups (groups: ["*"] is everybody)`)
		}
		if len(r.Allow)+len(r.Deny) == 0 {
			v.say(path, "neither allows nor denies anything")
		}
		if len(r.On) == 0 {
			v.say(path, `has no destinations (on: ["/queue/>"] is all queues)`)
		}
		v.rule(path, a.ACLMode, r)
	}
}

// rule wants the rule to be one, unless it was said already that it is none.
func (v *validator) rule(path string, m ACLMode, r Rule) {
	if n := len(v.found); n > 0 && v.found[n-1].Path == path {
		return
	}
	r.Place = ""
	_, err := ruleList(&Auth{ACLMode: m, ACL: []Rule{r}})
	if err == nil {
		return
	}
	text := strings.TrimPrefix(err.Error(), "auth.acl: ")
	v.say(path, "%s", strings.ReplaceAll(strings.TrimPrefix(text, "rule 1: "), "\nrule 1: ", "; "))
}

func (v *validator) issuer(path string, s Issuer) {
	if s.Issuer == "" {
		v.say(path+".issuer", "is needed")
	}
	if len(s.Audiences) == 0 {
		v.say(path+".audiences", "at least one is needed: tokens for other services would be believed")
	}
	for i, m := range s.Mappings {
		if m.Value == "" || m.Group == "" {
			v.say(fmt.Sprintf("%s.mappings[%d]", path, i), "needs a value and a group")
		}
	}
}

func (v *validator) ldap(l LDAP) {
	if len(l.URLs) == 0 {
		v.say("auth.ldap.urls", "at least one is needed")
	}
	if l.UserDN == "" && l.UserBase == "" {
		v.say("auth.ldap", "needs user_dn or user_base")
	}
	if l.BindPassword != "" && l.BindPasswordFile != "" {
		v.say("auth.ldap.bind_password_file", "bind_password and bind_password_file exclude one another")
	}
}

// transport is what a listener has below its protocol.
func (v *validator) transport(path string, l Listener, storage ByteSize) {
	count(v, path+".max_connections", l.MaxConnections, 0, maxConnections)
	if l.MaxMessageSize != 0 {
		count(v, path+".max_message_size", l.MaxMessageSize, KiB, maxMessageSize)
		if !l.Protocol.stomp() {
			v.say(path+".max_message_size", "only stomp and websocket listeners have it")
		}
	}
	switch {
	case len(l.ProxyProtocol) == 0 || l.Protocol.stomp() || l.Protocol == PubSubProtocol || l.Protocol == AuthN:
	case l.Protocol == Admin:
		v.say(path+".proxy_protocol", "only stomp, websocket, pubsub and authn listeners have it")
	default:
		v.say(path+".proxy_protocol", "a %s listener cannot have it: it could not tell its proxies from others who say whose client they are; let clients connect directly", l.Protocol)
	}
	if t := l.TLS; t != nil {
		v.tls(path+".tls", *t)
	}
	if l.Protocol == MQTT && storage == 0 {
		v.say(path, "MQTT keeps its sessions in streams: nats.storage has to be above 0")
	}
	if l.Protocol != WebSocket {
		for _, k := range []struct {
			key  string
			said bool
		}{{"path", l.Path != ""}, {"compression", l.Compression}, {"origins", len(l.Origins) > 0 && l.Protocol != NatsWebSocket}} {
			if k.said {
				v.say(path+"."+k.key, "only a websocket listener has it")
			}
		}
		return
	}
	if l.Path != "" && !strings.HasPrefix(l.Path, "/") {
		v.say(path+".path", "%q does not begin with /", l.Path)
	}
	for i, o := range l.Origins {
		if u, err := url.Parse(o); o != "*" && (err != nil || u.Scheme == "" || u.Host == "" || strings.Trim(u.Path, "/") != "") {
			v.say(fmt.Sprintf("%s.origins[%d]", path, i), "%q is no origin, such as https://portal.example.org", o)
		}
	}
}

func (v *validator) tls(path string, t TLS) {
	if t.Certificate == "" || t.Key == "" {
		v.say(path, "needs a certificate and a key")
	}
	authorities := len(t.ClientCA) > 0 || t.ClientCADir != ""
	switch {
	case t.ClientAuth != NoClientAuth && t.ClientAuth != "" && !authorities:
		v.say(path+".client_auth", "needs client_ca or client_ca_dir: nobody would be trusted")
	case t.ClientAuth == NoClientAuth && authorities:
		v.say(path+".client_auth", `is "none", so that client_ca and client_ca_dir are of no use`)
	}
}

func (v *validator) quota(path string, q Quota) {
	for _, n := range []struct {
		key   string
		value int
	}{{"connections", q.Connections}, {"subscriptions", q.Subscriptions}, {"in_flight", q.InFlight}, {"destinations", q.Destinations}, {"publish_messages", q.PublishMessages}} {
		count(v, path+"."+n.key, n.value, 0, 1_000_000_000)
	}
	count(v, path+".publish_bytes", q.PublishBytes, 0, maxMemory)
}
