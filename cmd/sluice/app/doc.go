// Package app puts the rooms together into the sluice program: its commands,
// its configuration and the life of a node. It alone knows every room.
package app
