package app

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/go-viper/mapstructure/v2"
	"github.com/goccy/go-yaml/ast"
)

// readPolicies reads a list of policies, as it is under policies in a configuration. The error is of type Problems, and has all that is wrong with it. No text is
// no policies.
func readPolicies(name string, text []byte) ([]Policy, error) {
	if text == nil {
		return nil, nil
	}
	doc := &document{name: name, values: map[string]any{}, at: map[string]position{}}
	body := doc.parse(text)
	if len(doc.problems) > 0 {
		return nil, doc.problems
	}
	if _, list := body.(*ast.SequenceNode); !list {
		at := position{1, 1}
		if body != nil {
			at = place(body)
		}
		doc.report(at, "", "want a list of policies, such as - {on: [\"/queue/a.>\"], nack: drop}")
		return nil, doc.problems
	}
	values := doc.read(reflect.TypeFor[[]Policy](), body, policiesKey)
	l := &loading{doc: doc, origins: map[string]string{}, problems: doc.problems}
	var policies []Policy
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{Result: &policies, TagName: yamlTag, DecodeHook: wordHook(), WeaklyTypedInput: true})
	if err == nil {
		err = decoder.Decode(values)
	}
	if err != nil && len(l.problems) == 0 {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(l.problems) == 0 {
		doc.values[policiesKey] = values
		fillPolicies(policies, doc)
		var v validator
		v.policies(policies)
		for _, p := range v.found {
			l.add(p)
		}
	}
	if len(l.problems) > 0 {
		return nil, l.problems.sorted()
	}
	if len(policies) == 0 {
		return nil, errors.New(name + ": the list has no policies; sluice policy unset takes away what was set")
	}
	for i := range policies {
		policies[i].Place = ""
	}
	return policies, nil
}

const (
	policiesKey = "policies"
	yamlTag     = "yaml"
)
