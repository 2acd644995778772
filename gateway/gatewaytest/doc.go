// Package gatewaytest holds what tests of several rooms share: a store in
// memory, the contract that every store keeps, and small fakes.
package gatewaytest
