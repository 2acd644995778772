// Package oidc knows people by signed tokens, JWTs, of issuers that an operator trusts: OpenID Connect, WLCG and SciTokens. The issuers' keys come from
// files or their web servers, are fetched in the background, and go on being used while an issuer cannot be reached.
package oidc
