package jsapi

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func FuzzParseRequest(f *testing.F) {
	for _, s := range []string{"$JS.API.INFO", "$JS.API.CONSUMER.CREATE.QUEUES.w.queue.a", "$JS.API.DIRECT.GET.x.y", "$JS.API...", "$JS.API.CONSUMER.MSG.NEXT.QUEUES.w"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, subject string) {
		r, ok := ParseRequest(subject)
		if !ok {
			return
		}
		if strings.Contains(r.Stream, ".") && r.Verb != DirectGet || strings.Contains(r.Consumer, ".") {
			t.Fatalf("%q: a name with a dot: %+v", subject, r)
		}
		if !strings.HasPrefix(subject, Prefix+string(r.Verb)) {
			t.Fatalf("%q is no %q", subject, r.Verb)
		}
	})
}

func FuzzParseAckSubject(f *testing.F) {
	f.Add("$JS.ACK.QUEUES.orders.2.1152921504606846976.7.1234.3")
	f.Add("$JS.ACK.QUEUES.w.1.2.3.4.-5")
	f.Add("$JS.ACK......")
	f.Fuzz(func(t *testing.T, subject string) {
		d, ok := ParseAckSubject(subject)
		if !ok {
			return
		}
		again, ok := ParseAckSubject(string(AppendAckSubject(nil, d)))
		if !ok || again != d {
			t.Fatalf("%q became %+v", subject, again)
		}
	})
}

func FuzzParseSettlement(f *testing.F) {
	for _, s := range []string{"", "+ACK", "-NAK 5s", `-NAK {"delay": 5}`, "+TERM why", "+NXT 5", "+WPI", "-NAK -9999999h"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		s, ok := ParseSettlement(body)
		if ok && (s.Word < Ack || s.Word > AckNext || s.Delay < 0 || s.Delay > LongestDelay) {
			t.Fatalf("%q became %+v", body, s)
		}
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
	})
}

func FuzzParsePull(f *testing.F) {
	for _, s := range []string{"", "5", `{"batch":5,"expires":1000,"idle_heartbeat":10}`, `{"max_bytes":-1}`, "{"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := ParsePull(body)
		if err != nil {
			return
		}
		if p.Batch < 1 || p.Batch > mostMessages || p.MaxBytes < 0 || p.Expires < 0 || p.Heartbeat < 0 || p.Heartbeat > 0 && p.Heartbeat < shortestHeartbeat {
			t.Fatalf("%q became %+v", body, p)
		}
	})
}

func FuzzParseCreate(f *testing.F) {
	for _, s := range []string{"{}", `{"stream_name":"QUEUES","config":{"filter_subject":"queue.a","ack_policy":"explicit"}}`, `{"config":{"backoff":[1000000]}}`, `{"config":{"max_deliver":-5,"filter_subjects":["queue.x"]}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := ParseCreate(body)
		if err != nil {
			return
		}
		c, filter, err := r.Config.Complete()
		if err != nil {
			return
		}
		if c.AckWait <= 0 || c.Wait(1) <= 0 || c.MaxWaiting <= 0 || c.MaxAckPending == 0 || filter == "" || strings.ContainsAny(filter, "*>") {
			t.Fatalf("%q became %+v", body, c)
		}
		if _, err := json.Marshal(c); err != nil {
			t.Fatal(err)
		}
		if _, again, err := c.Complete(); err != nil || again != filter {
			t.Fatalf("a complete configuration was refused: %v", err)
		}
	})
}

func FuzzParseTrace(f *testing.F) {
	f.Add([]byte(`{"events":[{"type":"in","kind":0,"cid":1},{"type":"eg","kind":0,"cid":7,"sub":"_INBOX.x.*"}]}`), "_INBOX.x.1")
	f.Add([]byte(`{"events":[{"type":"eg","cid":-1,"sub":">"}]}`), "")
	f.Fuzz(func(t *testing.T, report []byte, subject string) {
		r, _ := ParseTrace(report)
		if id, ok := r.Connection(subject); !ok && id != 0 {
			t.Fatal("nobody has a number")
		}
	})
}

func FuzzParseList(f *testing.F) {
	f.Add([]byte(`{"offset":5,"subject":"queue.a"}`))
	f.Add([]byte(`{"offset":-5}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		l, err := ParseList(body)
		if err != nil {
			return
		}
		if page, p := Page([]int{1, 2, 3}, l.Offset, 2); len(page) > 2 || p.Total != 3 {
			t.Fatalf("%q became %v", body, page)
		}
	})
}
