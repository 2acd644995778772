// Package cluster breaks clusters of three nodes, and holds what clients were promised against what they got.
package cluster
