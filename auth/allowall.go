package auth

import "github.com/sluice-mq/sluice/gateway"

// AllowAll lets every principal do everything with every destination. It is
// what a node on loopback uses, together with Anonymous. Safe for concurrent
// use; the zero value is ready.
type AllowAll struct{}

var _ gateway.Authorizer = AllowAll{}

// Rights returns itself.
func (AllowAll) Rights(gateway.Principal) gateway.Rights { return AllowAll{} }

// May always returns nil.
func (AllowAll) May(gateway.Action, gateway.Destination) error { return nil }

// All always returns true.
func (AllowAll) All(gateway.Action, gateway.Destination) bool { return true }

// Operate always returns nil.
func (AllowAll) Operate(string) error { return nil }
