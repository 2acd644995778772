// Package pkitest makes certificate authorities, certificates, proxies, revocation lists and OCSP responders for tests.
// Nothing of it is fit for anything else: keys are small and lie readable in memory.
package pkitest
