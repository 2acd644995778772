package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/protocols/admin"
)

// setWithin is how long it may take until policies are written down on a majority of the nodes and in force on this one.
const setWithin = 15 * time.Second

// ExplainPolicy says which policy is that of a destination.
func (d *duty) ExplainPolicy(_ context.Context, c admin.Call, w io.Writer) error {
	text := c.Arguments.Get(destinationArgument)
	if text == "" {
		return errors.New("which destination? (such as /queue/a.b)")
	}
	to, err := destination(text)
	if err != nil {
		return err
	}
	policies, _ := d.life.node.rules.all()
	words, err := explainPolicy(policies, to)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(w, words)
	return err
}

// ListPolicies lists those in force, each with its place.
func (d *duty) ListPolicies(_ context.Context, w io.Writer) error {
	policies, _ := d.life.node.rules.all()
	if len(policies) == 0 {
		fmt.Fprintln(w, "there are no policies, so that everything behaves as in ActiveMQ")
		return nil
	}
	for i, p := range policies {
		words, err := p.describe(i)
		if err != nil {
			return err
		}
		fmt.Fprintln(w, words)
	}
	return nil
}

// SetPolicies puts policies before those of the configuration, on all nodes, in the place of those that were set before.
func (d *duty) SetPolicies(ctx context.Context, c admin.Call, w io.Writer) error {
	name := c.Arguments.Get(fileArgument)
	if name == "" {
		name = "policies"
	}
	text, err := io.ReadAll(io.LimitReader(c.Body, gateway.MaxFact+1))
	if err != nil {
		return fmt.Errorf("reading the policies: %w", err)
	}
	if len(text) > gateway.MaxFact {
		return fmt.Errorf("%s is longer than %d bytes", name, gateway.MaxFact)
	}
	policies, err := readPolicies(name, text)
	if err != nil {
		return err
	}
	if err := d.changePolicies(ctx, text); err != nil {
		return err
	}
	teller{w, d.life.log}.tell(fmt.Sprintf("policies that were set while running are in force before those of the configuration: %d", len(policies)))
	return nil
}

// UnsetPolicies leaves those of the configuration alone in force.
func (d *duty) UnsetPolicies(ctx context.Context, w io.Writer) error {
	if err := d.changePolicies(ctx, nil); err != nil {
		return err
	}
	teller{w, d.life.log}.tell("the policies of the configuration alone are in force")
	return nil
}

func (d *duty) changePolicies(ctx context.Context, text []byte) error {
	ctx, cancel := context.WithTimeout(ctx, setWithin)
	defer cancel()
	return d.life.node.rules.set(ctx, text)
}
