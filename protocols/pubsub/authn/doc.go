// Package authn is the door of the mapping service: a client shows its certificate and gets the token of the user whom a binding names. Service types, hosts and
// bindings are administered by the same API, that of ARGO's authentication service, of which each answer is kept to the letter.
package authn
