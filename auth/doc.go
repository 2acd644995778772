// Package auth answers who a client is and what it may do, for every door
// alike. It implements the ports gateway.Authenticator and gateway.Authorizer.
package auth
