package pki

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// maxPatterns bounds what one file of signing policies may say.
const maxPatterns = 4096

// policy is a signing policy: by the name of an authority, as plain writes it, the patterns of the names that it may sign.
type policy map[string][]string

// parsePolicy reads a signing_policy file, as Globus and the IGTF have it:
//
//	access_id_CA  X509    '/C=CH/O=Grid/CN=Grid CA'
//	pos_rights    globus  CA:sign
//	cond_subjects globus  '"/C=CH/O=Grid/*" "/C=FR/O=Grid/*"'
//
// What it does not understand is an error: it might take a right away.
func parsePolicy(text []byte) (policy, error) {
	tokens, err := policyTokens(string(text))
	if err != nil {
		return nil, err
	}
	p := policy{}
	var authority string
	var known, may bool
	for len(tokens) > 0 {
		word := tokens[0].text
		end := 1
		for end < len(tokens) && (tokens[end].quoted || !policyWord(tokens[end].text)) {
			end++
		}
		if end < 3 || !policyWord(word) {
			return nil, fmt.Errorf("%.64q is not understood", word)
		}
		values := tokens[2:end]
		switch {
		case strings.EqualFold(word, "access_id_CA"):
			authority, known, may = plainText(unquoted(values[0].text)), true, false
			p[authority] = append(p[authority], []string{}...)
		case !known:
			return nil, fmt.Errorf("%s comes before access_id_CA", word)
		case strings.EqualFold(word, "pos_rights"):
			may = may || strings.EqualFold(unquoted(values[0].text), "CA:sign")
		case strings.EqualFold(word, "cond_subjects"):
			if may {
				p[authority] = append(p[authority], subjectPatterns(values)...)
			}
		default:
			return nil, fmt.Errorf("%s is not supported", word)
		}
		if len(p[authority]) > maxPatterns {
			return nil, fmt.Errorf("there are more than %d patterns for one authority", maxPatterns)
		}
		tokens = tokens[end:]
	}
	if !known {
		return nil, errors.New("the signing policy names no authority")
	}
	return p, nil
}

// policyWord reports whether a token begins an entry.
func policyWord(s string) bool {
	s = strings.ToLower(s)
	return strings.HasPrefix(s, "access_id_") || strings.HasPrefix(s, "cond_") || s == "pos_rights" || s == "neg_rights"
}

type policyToken struct {
	text   string
	quoted bool
}

// policyTokens cuts a text at white space; quotes, single or double, hold a token together, and # begins a comment.
func policyTokens(s string) (tokens []policyToken, err error) {
	const space = " \t\r\n\v\f"
	for {
		s = strings.TrimLeft(s, space)
		switch {
		case s == "":
			return tokens, nil
		case s[0] == '#':
			_, s, _ = strings.Cut(s, "\n")
		case s[0] == '\'' || s[0] == '"':
			end := strings.IndexByte(s[1:], s[0])
			if end < 0 {
				return nil, fmt.Errorf("a quotation is not closed: %.64q", s)
			}
			tokens = append(tokens, policyToken{s[1 : 1+end], true})
			s = s[2+end:]
		default:
			end := strings.IndexAny(s, space)
			if end < 0 {
				end = len(s)
			}
			tokens = append(tokens, policyToken{s[:end], false})
			s = s[end:]
		}
		if len(tokens) > 4*maxPatterns {
			return nil, fmt.Errorf("there are more than %d words", 4*maxPatterns)
		}
	}
}

func unquoted(s string) string { return strings.Trim(s, `"'`) }

// subjectPatterns takes the patterns of cond_subjects apart: several in double quotes may stand within single ones.
func subjectPatterns(values []policyToken) (patterns []string) {
	for _, v := range values {
		if !strings.Contains(v.text, `"`) {
			patterns = append(patterns, plainText(v.text))
			continue
		}
		for i, piece := range strings.Split(v.text, `"`) {
			if i%2 == 1 {
				patterns = append(patterns, plainText(piece))
			}
		}
	}
	return patterns
}

// allows reports whether a name, as plain writes it, is among those that an authority may sign.
func allows(patterns []string, name string) bool {
	for _, p := range patterns {
		if glob(p, name) {
			return true
		}
	}
	return false
}

// glob matches a text with a pattern in which * stands for any bytes and ? for one. It never takes longer than the product of their lengths.
func glob(pattern, s string) bool {
	p, i := 0, 0
	star, mark := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// plainTypes are the attribute types by OID, in the one spelling in which plain compares them.
func plainTypes() map[string]string {
	return map[string]string{
		"2.5.4.3": "cn", "2.5.4.4": "sn", "2.5.4.5": "serialnumber", "2.5.4.6": "c", "2.5.4.7": "l", "2.5.4.8": "st",
		"2.5.4.9": "street", "2.5.4.10": "o", "2.5.4.11": "ou", "2.5.4.12": "title", "2.5.4.17": "postalcode",
		"2.5.4.42": "gn", "0.9.2342.19200300.100.1.25": "dc", "0.9.2342.19200300.100.1.1": "uid", "1.2.840.113549.1.9.1": "emailaddress",
	}
}

// plain writes a name as signing policies do, "/DC=ch/CN=x", in one spelling for all: lower case.
func plain(der []byte) (string, error) {
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &sequence); err != nil || len(rest) > 0 {
		return "", errors.New("the name cannot be read")
	}
	types := plainTypes()
	var b strings.Builder
	for _, relative := range sequence {
		for _, a := range relative {
			value, ok := a.Value.(string)
			if !ok {
				return "", errors.New("the name holds what is no text")
			}
			word := types[a.Type.String()]
			if word == "" {
				word = a.Type.String()
			}
			b.WriteString("/" + word + "=" + value)
		}
	}
	return oneSpelling(b.String()), nil
}

// plainText brings a name or a pattern of a policy into the spelling of plain.
func plainText(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if strings.HasPrefix(s[i:], `\x`) && i+4 <= len(s) {
			if c, err := hex.DecodeString(s[i+2 : i+4]); err == nil {
				b.WriteByte(c[0])
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return oneSpelling(b.String())
}

// oneSpelling is lower case, with one word for each attribute type.
func oneSpelling(s string) string {
	s = strings.ToLower(s)
	for _, alias := range [][2]string{
		{"/e=", "/emailaddress="}, {"/email=", "/emailaddress="}, {"/userid=", "/uid="}, {"/s=", "/st="},
		{"/givenname=", "/gn="}, {"/surname=", "/sn="}, {"/t=", "/title="},
	} {
		s = strings.ReplaceAll(s, alias[0], alias[1])
	}
	return s
}
