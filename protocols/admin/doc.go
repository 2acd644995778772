// Package admin is the operators' door: liveness, readiness and metrics over
// HTTP. It asks small interfaces of its own, so that it knows neither the
// broker nor the store.
package admin
