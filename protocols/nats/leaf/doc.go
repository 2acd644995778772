// Package leaf hands messages to native clients as the NATS server itself would: as
// a leaf node of it. Only a node may send a message whose reply subject is that of an acknowledgement, and
// have the receiver see another subject than that of the inbox it came by.
package leaf
