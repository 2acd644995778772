// Package native tests what clients see who speak NATS or MQTT to a node that asks who they are: the embedded server,
// the gate and the broker together, by real connections.
package native
