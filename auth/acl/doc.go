// Package acl says what principals may do: rules of the operator, compiled for each principal into rights that do
// not change any more. It implements gateway.Authorizer, and it can explain each of its verdicts.
package acl
