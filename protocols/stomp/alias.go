package stomp

import (
	"crypto/md5"
	"encoding/hex"
	"net"
)

// hashedAddress names subscriptions whose id is a hash of where they are.
const hashedAddress = "md5(address_port_destination)"

// subscriptionName is what the broker calls a subscription, by which it knows the subscriptions of one client on several nodes.
// That is its id; but DIRAC's consumers, which connect to every node behind an alias, hash the address and port of the node and the
// destination into it. So it is another one on each node, and would make another client of each connection, which hears what
// the others heard.
func (c *conn) subscriptionName(id, destination string) string {
	if len(id) != hex.EncodedLen(md5.Size) {
		return id
	}
	addr := c.nc.LocalAddr()
	if addr == nil {
		return id
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return id
	}
	sum := md5.Sum([]byte(host + "_" + port + "_" + destination))
	if hex.EncodeToString(sum[:]) != id {
		return id
	}
	return hashedAddress
}
