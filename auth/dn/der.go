package dn

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Of returns the subject of a certificate.
func Of(c *x509.Certificate) (Name, error) { return FromDER(c.RawSubject) }

// FromDER reads the name as a certificate holds it (RawSubject, RawIssuer), in its true order. It refuses
// what is longer than MaxLength, and text that is not of the encoding that it claims.
func FromDER(der []byte) (Name, error) {
	if len(der) > MaxLength {
		return Name{}, fmt.Errorf("the name is %d bytes long, the limit is %d", len(der), MaxLength)
	}
	type typeAndValue struct {
		Type  asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	type relativeSET []typeAndValue // the suffix tells asn1 that it is a SET
	var sequence []relativeSET
	if rest, err := asn1.Unmarshal(der, &sequence); err != nil {
		return Name{}, fmt.Errorf("the name is not DER: %w", err)
	} else if len(rest) > 0 {
		return Name{}, errors.New("the name is followed by something else")
	}
	var n Name
	for _, relative := range slices.Backward(sequence) {
		if len(relative) == 0 {
			return Name{}, errors.New("a part of the name is empty")
		}
		var p part
		for _, a := range relative {
			v, binary, err := text(a.Value)
			if err != nil {
				return Name{}, fmt.Errorf("%s of the name: %w", wordOf(a.Type.String()), err)
			}
			p = append(p, attribute{a.Type.String(), v, binary})
		}
		n.parts = append(n.parts, p)
	}
	return n, nil
}

const tagUniversalString = 28

// text decodes the value of an attribute. What is no text is binary: "#" and its DER in hexadecimal.
func text(v asn1.RawValue) (value string, binary bool, err error) {
	b := v.Bytes
	switch {
	case v.Class != asn1.ClassUniversal || v.IsCompound:
		return "#" + hex.EncodeToString(v.FullBytes), true, nil
	case v.Tag == asn1.TagUTF8String || v.Tag == asn1.TagPrintableString || v.Tag == asn1.TagIA5String || v.Tag == asn1.TagNumericString:
		if !utf8.Valid(b) {
			return "", false, errors.New("the text is not valid UTF-8")
		}
		return string(b), false, nil
	case v.Tag == asn1.TagT61String: // everybody writes Latin-1 there
		value, err = wide(b, 1)
	case v.Tag == asn1.TagBMPString:
		value, err = wide(b, 2)
	case v.Tag == tagUniversalString:
		value, err = wide(b, 4)
	default:
		return "#" + hex.EncodeToString(v.FullBytes), true, nil
	}
	return value, false, err
}

// wide decodes big-endian characters of some bytes each. It refuses what is no character, since all of it would
// become the same replacement and two names would fall together.
func wide(b []byte, width int) (string, error) {
	if len(b)%width != 0 {
		return "", errors.New("the text ends within a character")
	}
	var s strings.Builder
	for c := range slices.Chunk(b, width) {
		var r uint32
		for _, x := range c {
			r = r<<8 | uint32(x)
		}
		if r > utf8.MaxRune || !utf8.ValidRune(rune(r)) {
			return "", errors.New("the text holds what is no character")
		}
		s.WriteRune(rune(r))
	}
	return s.String(), nil
}
