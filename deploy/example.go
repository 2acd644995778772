// Package deploy holds what a packaged node is delivered with. The program
// takes its commented configuration from here, so that there is one of them.
package deploy

import _ "embed"

//go:embed sluice.yaml
var example string

// Example is a configuration file with every key commented and at its default.
func Example() string { return example }
