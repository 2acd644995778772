package app

import (
	"fmt"
	"path/filepath"
)

// Auth says who may come in and what they may do. Without it everybody may do everything, and all listeners are on loopback.
type Auth struct {
	// Anonymous lets clients in that show nothing.
	Anonymous bool   `yaml:"anonymous"`
	Users     []User `yaml:"users"`
	// UsersFile and GroupsFile are ActiveMQ's users.properties and groups.properties, or lines of name:hash.
	UsersFile  File     `yaml:"users_file"`
	GroupsFile File     `yaml:"groups_file"`
	Issuers    []Issuer `yaml:"issuers"`
	LDAP       *LDAP    `yaml:"ldap"`
	ACLMode    ACLMode  `yaml:"acl_mode"`
	// ACL without rules allows nothing, or everything if Anonymous is set.
	ACL []Rule `yaml:"acl"`
}

// fill sets what was not said, and where rules were.
func (a *Auth) fill(doc *document) {
	if a.ACLMode == "" {
		a.ACLMode = FirstMatch
	}
	for i := range a.ACL {
		if at, ok := doc.at[fmt.Sprintf("auth.acl[%d]", i)]; ok {
			a.ACL[i].Place = fmt.Sprintf("%s:%d", filepath.Base(doc.name), at.line)
		}
	}
}

// User is somebody who is known. Each has at least one way to prove it.
type User struct {
	Name string `yaml:"name"`
	// Password is a hash, or a password in plain text.
	Password     Secret   `yaml:"password"`
	PasswordFile File     `yaml:"password_file"`
	Token        Secret   `yaml:"token"`
	TokenFile    File     `yaml:"token_file"`
	DN           string   `yaml:"dn"`
	DNs          []string `yaml:"dns"`
	// SANs are alternative names of certificates: "dns:host", "email:a@b", "uri:...".
	SANs     []string `yaml:"sans"`
	Groups   []string `yaml:"groups"`
	Disabled bool     `yaml:"disabled"`
}

// Issuer gives tokens (JWT) that are believed.
type Issuer struct {
	Issuer    string   `yaml:"issuer"`
	Audiences []string `yaml:"audiences"`
	// Keys is a file with the issuer's keys (JWKS) or their URL; empty: the issuer says where they are.
	Keys      string `yaml:"keys"`
	NameClaim string `yaml:"name_claim"`
	// NamePrefix and GroupPrefix stand before what the token says.
	NamePrefix  string    `yaml:"name_prefix"`
	GroupPrefix string    `yaml:"group_prefix"`
	GroupClaims []string  `yaml:"group_claims"`
	Mappings    []Mapping `yaml:"mappings"`
}

// Mapping makes whoever has a value in a claim, "scope" if it has no name, a member of a group.
type Mapping struct {
	Claim string `yaml:"claim"`
	Value string `yaml:"value"`
	Group string `yaml:"group"`
}

// LDAP is a directory that knows passwords.
type LDAP struct {
	URLs             []string `yaml:"urls"`
	StartTLS         bool     `yaml:"start_tls"`
	CA               File     `yaml:"ca"`
	Insecure         bool     `yaml:"insecure"`
	BindDN           string   `yaml:"bind_dn"`
	BindPassword     Secret   `yaml:"bind_password"`
	BindPasswordFile File     `yaml:"bind_password_file"`
	UserDN           string   `yaml:"user_dn"`
	UserBase         string   `yaml:"user_base"`
	UserFilter       string   `yaml:"user_filter"`
	NameAttribute    string   `yaml:"name_attribute"`
	GroupBase        string   `yaml:"group_base"`
	GroupFilter      string   `yaml:"group_filter"`
	GroupAttribute   string   `yaml:"group_attribute"`
	Timeout          Duration `yaml:"timeout"`
}

// Rule allows or denies.
type Rule struct {
	Users  []string `yaml:"users"`
	Groups []string `yaml:"groups"`
	Allow  []string `yaml:"allow"`
	Deny   []string `yaml:"deny"`
	On     []string `yaml:"on"`
	// Place is where the file says it: "sluice.yaml:12".
	Place string `yaml:"-"`
}

// TLS makes a listener private, and lets its clients prove by certificates who they are.
type TLS struct {
	Certificate File `yaml:"certificate"`
	Key         File `yaml:"key"`
	// ClientCA are files in PEM; ClientCADir is a directory as grids have it, with revocation lists.
	ClientCA    []File     `yaml:"client_ca"`
	ClientCADir File       `yaml:"client_ca_dir"`
	ClientAuth  ClientAuth `yaml:"client_auth"`
	CRL         []File     `yaml:"crl"`
	OCSP        OCSP       `yaml:"ocsp"`
	MinVersion  TLSVersion `yaml:"min_version"`
}

// fill sets what was not said.
func (t *TLS) fill() {
	if t.ClientAuth == "" {
		t.ClientAuth = NoClientAuth
		if len(t.ClientCA) > 0 || t.ClientCADir != "" {
			t.ClientAuth = OptionalClientAuth
		}
	}
	if t.OCSP == "" {
		t.OCSP = OCSPOff
	}
	if t.MinVersion == "" {
		t.MinVersion = "1.2"
	}
}

// Service is the three ports that a grid's broker service has: code 10 is 61013, 61023 with TLS and 61033 for WebSocket.
type Service struct {
	// Code has two digits.
	Code string `yaml:"code"`
	// Host is what to listen on; empty is all addresses.
	Host    string   `yaml:"host"`
	TLS     *TLS     `yaml:"tls"`
	Origins []string `yaml:"origins"`
}

// Quota bounds what a user, an address or all of them together may have; 0 is no limit.
type Quota struct {
	Connections   int `yaml:"connections"`
	Subscriptions int `yaml:"subscriptions"`
	// InFlight is how many messages may be unacknowledged at once; more wait.
	InFlight     int `yaml:"in_flight"`
	Destinations int `yaml:"destinations"`
	// PublishMessages and PublishBytes are per second; who is faster waits.
	PublishMessages int      `yaml:"publish_messages"`
	PublishBytes    ByteSize `yaml:"publish_bytes"`
}

// NamedQuota takes the place of limits.per_user for some. The first that fits counts.
type NamedQuota struct {
	Users  []string `yaml:"users"`
	Groups []string `yaml:"groups"`
	Quota  Quota    `yaml:"quota"`
}
