package bench

import (
	"fmt"
	"strconv"
)

// Dialect is what brokers call differently.
type Dialect struct {
	Name string
	// all matches every name below a prefix, in a topic subscription.
	all string
	// prefetch is the header of SUBSCRIBE that bounds unacknowledged messages.
	prefetch string
}

// Dialects are the ones known, by name.
func Dialects() map[string]Dialect {
	return map[string]Dialect{
		"activemq": {Name: "activemq", all: ">", prefetch: "activemq.prefetchSize"},
		"rabbitmq": {Name: "rabbitmq", all: "#", prefetch: "prefetch-count"},
	}
}

func (d Dialect) destination(s Scenario, run uint32, n int) string {
	kind := "/queue/"
	if s.Topic {
		kind = "/topic/"
	}
	return fmt.Sprintf("%sbench.%08x.%d", kind, run, n)
}

func (d Dialect) everything(run uint32) string {
	return fmt.Sprintf("/topic/bench.%08x.%s", run, d.all)
}

// sendHead is a SEND frame up to where a receipt and the body follow.
func (d Dialect) sendHead(s Scenario, destination string) []byte {
	head := "SEND\ndestination:" + destination + "\n"
	if s.Persistent {
		head += "persistent:true\n"
	}
	return append([]byte(head), "content-length:"+strconv.Itoa(s.Size)+"\n"...)
}

func (d Dialect) subscribe(s Scenario, id int, destination string) string {
	n := strconv.Itoa(id)
	f := "SUBSCRIBE\nid:" + n + "\nreceipt:" + n + "\nack:" + s.Ack + "\ndestination:" + destination + "\n"
	if s.Prefetch > 0 {
		f += d.prefetch + ":" + strconv.Itoa(s.Prefetch) + "\n"
	}
	return f + "\n\x00"
}
