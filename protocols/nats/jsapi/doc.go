// Package jsapi reads and writes the words of the JetStream API as far as queues
// need them: the subjects of requests, consumer configurations, pull requests and
// acknowledgements. It is pure, and takes nothing for granted of what clients send.
package jsapi
