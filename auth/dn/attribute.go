package dn

import "strings"

// keyword is how an attribute type is written; the first of an OID is the one that String uses.
type keyword struct{ word, oid string }

// keywords returns the attribute types that are known by a word, in the words of RFC 4514, of OpenSSL and of Java.
func keywords() []keyword {
	return []keyword{
		{"CN", "2.5.4.3"}, {"COMMONNAME", "2.5.4.3"},
		{"SURNAME", "2.5.4.4"}, {"SN", "2.5.4.4"},
		{"SERIALNUMBER", "2.5.4.5"},
		{"C", "2.5.4.6"}, {"COUNTRYNAME", "2.5.4.6"},
		{"L", "2.5.4.7"}, {"LOCALITYNAME", "2.5.4.7"},
		{"ST", "2.5.4.8"}, {"S", "2.5.4.8"}, {"SP", "2.5.4.8"}, {"STATEORPROVINCENAME", "2.5.4.8"},
		{"STREET", "2.5.4.9"}, {"STREETADDRESS", "2.5.4.9"},
		{"O", "2.5.4.10"}, {"ORGANIZATIONNAME", "2.5.4.10"},
		{"OU", "2.5.4.11"}, {"ORGANIZATIONALUNITNAME", "2.5.4.11"},
		{"T", "2.5.4.12"}, {"TITLE", "2.5.4.12"},
		{"DESCRIPTION", "2.5.4.13"},
		{"BUSINESSCATEGORY", "2.5.4.15"},
		{"POSTALCODE", "2.5.4.17"},
		{"NAME", "2.5.4.41"},
		{"GIVENNAME", "2.5.4.42"}, {"GN", "2.5.4.42"},
		{"INITIALS", "2.5.4.43"},
		{"GENERATION", "2.5.4.44"}, {"GENERATIONQUALIFIER", "2.5.4.44"},
		{"DNQ", "2.5.4.46"}, {"DNQUALIFIER", "2.5.4.46"},
		{"PSEUDONYM", "2.5.4.65"},
		{"ORGANIZATIONIDENTIFIER", "2.5.4.97"},
		{"DC", "0.9.2342.19200300.100.1.25"}, {"DOMAINCOMPONENT", "0.9.2342.19200300.100.1.25"},
		{"UID", "0.9.2342.19200300.100.1.1"}, {"USERID", "0.9.2342.19200300.100.1.1"},
		{"EMAILADDRESS", "1.2.840.113549.1.9.1"}, {"E", "1.2.840.113549.1.9.1"}, {"EMAIL", "1.2.840.113549.1.9.1"},
		{"MAIL", "0.9.2342.19200300.100.1.3"},
		{"UNSTRUCTUREDNAME", "1.2.840.113549.1.9.2"},
	}
}

// oidOf returns the dotted OID of an attribute type as it is written, or "" if it is none that is known.
func oidOf(word string) string {
	if len(word) > 64 {
		return ""
	}
	word = strings.ToUpper(word)
	word = strings.TrimPrefix(word, "OID.")
	if dotted(word) {
		return word
	}
	for _, k := range keywords() {
		if k.word == word {
			return k.oid
		}
	}
	return ""
}

// wordOf returns how an OID is written.
func wordOf(oid string) string {
	for _, k := range keywords() {
		if k.oid == oid {
			return k.word
		}
	}
	return oid
}

// dotted reports whether s is an OID of two numbers or more, without leading zeros, so that each has one spelling.
func dotted(s string) bool {
	if !strings.Contains(s, ".") {
		return false
	}
	for number := range strings.SplitSeq(s, ".") {
		if number == "" || len(number) > 1 && number[0] == '0' {
			return false
		}
		for _, r := range []byte(number) {
			if r < '0' || r > '9' {
				return false
			}
		}
	}
	return true
}
