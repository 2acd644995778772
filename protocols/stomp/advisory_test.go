package stomp

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// An advisory is written in XML as ActiveMQ writes it; what is none, or cannot be written so, stays as it is.
func TestAdvisoriesInXML(t *testing.T) {
	advisory := func(body string) *gateway.Message {
		return &gateway.Message{ID: "1", Body: []byte(body), Text: true, Header: gateway.Header{{Name: "type", Value: "Advisory"}, {Name: "transformation", Value: advisoryJSON}}}
	}
	for body, want := range map[string]string{
		`{"A":{"n":1,"yes":true,"no":false,"empty":"","nothing":null,"null":""}}`: `<A><n>1</n><yes>true</yes><no>false</no><empty></empty><nothing/><null/></A>`,
		`{"A":{"d":{"@class":"Q<","string":"a&b","null":""}}}`:                    `<A><d class="Q&lt;"><string>a&amp;b</string><null/></d></A>`,
		`{"A":{"p":[{"entry":{"string":["foo","bar"]}}],"none":[],"o":{}}}`:       `<A><p><entry><string>foo</string><string>bar</string></entry></p><o></o></A>`,
		`{"A":{"c":{"@class":"X"}}}`:                                              `<A><c class="X"></c></A>`,
	} {
		m := advisory(body)
		got := advisoryInXML(m)
		require.Equal(t, want, string(got.Body), body)
		kind, _ := got.Header.Get("transformation")
		require.Equal(t, advisoryXML, kind)
		kind, _ = m.Header.Get("transformation")
		require.Equal(t, advisoryJSON, kind, "others have the same message")
	}
	for _, body := range []string{
		"", "x", "[1]", `{"A":{"b c":1}}`, `{"A":{"1":1}}`, `{"A":`, `{"A":1}{`, `{"":1}`, `{"a":{"x":1,"@class":"late"}}`,
		strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), strings.Repeat("[", 100), `{"a":"` + strings.Repeat("x", xmlBytes) + `"}`,
	} {
		m := advisory(body)
		require.Same(t, m, advisoryInXML(m), body[:min(len(body), 100)])
	}
	m := advisory(`{"A":1}`)
	m.Header[1].Value = "jms-map-json"
	require.Same(t, m, advisoryInXML(m))
}

func TestWhoWantsXML(t *testing.T) {
	for value, want := range map[string]bool{"": false, "jms-json": false, "jms-xml": true, " JMS-XML ": true, "jms-advisory-xml": true, "jms-object-xml": false} {
		require.Equal(t, want, wantsXML(gateway.Header{{Name: "transformation", Value: value}}), value)
	}
	require.False(t, wantsXML(nil))
}

// Whatever a client sends as an advisory: what comes out is XML of bounded size, or nothing.
func FuzzAdvisoryXML(f *testing.F) {
	for _, s := range []string{`{"A":{"n":1}}`, `{"A":{"d":{"@class":"Q","string":"a","null":""}}}`, `{"A":[1,"b",null]}`, `{"a":[[`, `{"A":"\u0000"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		out, ok := xmlOf(body)
		if !ok {
			return
		}
		d := xml.NewDecoder(strings.NewReader("<all>" + string(out) + "</all>"))
		for {
			if _, err := d.Token(); err != nil {
				require.EqualError(t, err, "EOF", "%s\n%s", body, out)
				return
			}
		}
	})
}
