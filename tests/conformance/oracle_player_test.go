package conformance

import (
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-mq/sluice/tests/conformance/raw"
)

// player asks one probe and writes down what happens.
type player struct {
	t     testing.TB
	addr  string
	name  string        // {n}
	waits time.Duration // for a frame that has to come
	quiet time.Duration // in which nothing comes
	// goesOn tells after each step whether the rest is worth asking; nil is always.
	goesOn func(transcript []string) bool
	*veil
	lines []*line
	all   map[string]*line
	out   []string
}

// line is one connection of a probe.
type line struct {
	name     string
	nc       net.Conn
	c        *raw.Client
	messages []raw.Frame
	receipts int
	over     bool // closed by either side
}

// errNothing ends a probe to which no answer came.
var errNothing = errors.New("nothing")

// play asks a probe and returns the transcript. A probe ends early where an answer does not come.
func (p *player) play(of probe) (transcript []string, err error) {
	p.all = map[string]*line{}
	if slices.Contains(of.locks, "dlq") {
		if err := p.drain(); err != nil {
			return nil, err
		}
	}
	defer func() {
		for _, l := range p.lines {
			if len(of.locks) > 0 && !l.over {
				p.part(l) // what it held is back before the next probe looks
			}
			_ = l.nc.Close()
		}
	}()
	for _, s := range of.steps {
		p.out = append(p.out, "> "+s.text)
		if err := p.step(s); errors.Is(err, errNothing) {
			p.out = append(p.out, "(and the probe ends here)")
			break
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", s.where, err)
		}
		if p.goesOn != nil && !p.goesOn(p.out) {
			break
		}
	}
	return p.out, nil
}

// waited reports whether a transcript ends before its time.
func waited(transcript []string) bool {
	return slices.Contains(transcript, "(and the probe ends here)")
}

func (p *player) step(s step) (err error) {
	words := make([]string, len(s.words))
	for i, w := range s.words {
		if words[i], err = p.expand(w); err != nil {
			return err
		}
	}
	body, err := p.expand(s.body)
	if err != nil {
		return err
	}
	switch s.verb {
	case "pass":
		n, err := strconv.Atoi(words[0])
		time.Sleep(time.Duration(n) * time.Millisecond)
		return err
	case "take":
		return p.take(words[0])
	case "put":
		return p.put(words, body)
	case "dial":
		_, err := p.dial(s.conn)
		return err
	case "login":
		return p.login(s.conn, words)
	}
	l := p.all[s.conn]
	if l == nil {
		return fmt.Errorf("%s was not dialled", s.conn)
	}
	return p.say(l, s.verb, words, body)
}

// say is a step of a connection that stands.
func (p *player) say(l *line, verb string, words []string, body string) error {
	switch verb {
	case "raw":
		_ = l.c.Write(words[0])
		return nil
	case "wait":
		return p.wait(l, words)
	case "until":
		return p.until(l, func(f raw.Frame) bool { return holds(f, words[0]) })
	case "find":
		return p.find(l, words)
	case "silent":
		return p.silent(l)
	case "closed":
		return p.until(l, func(raw.Frame) bool { return false })
	case "drop":
		l.over = true
		return l.nc.Close()
	case "leave":
		l.c.Send("DISCONNECT", "", "receipt:bye")
		return p.until(l, func(raw.Frame) bool { return false })
	case "sync":
		return p.sync(l)
	}
	command, answered := strings.CutSuffix(verb, "!")
	if command == "" || strings.ToUpper(command) != command {
		return fmt.Errorf("%q is no step", verb)
	}
	if !answered {
		l.c.Send(command, body, words...)
		return nil
	}
	l.receipts++
	id := "r" + strconv.Itoa(l.receipts)
	l.c.Send(command, body, append(words, "receipt:"+id)...)
	return p.until(l, func(f raw.Frame) bool { return f.Get("receipt-id") == id })
}

func (p *player) dial(name string) (*line, error) {
	nc, err := net.DialTimeout("tcp", p.addr, raw.Patience)
	if err != nil {
		return nil, err
	}
	l := &line{name: name, nc: nc, c: raw.Over(p.t, nc)}
	p.lines = append(p.lines, l) // one that has the name of another takes its place
	p.all[name] = l
	return l, nil
}

func (p *player) login(name string, words []string) error {
	l, err := p.dial(name)
	if err != nil {
		return err
	}
	if len(words) == 0 {
		return errors.New("login wants a version")
	}
	lines := append([]string{"accept-version:" + words[0], "host:localhost"}, words[1:]...)
	if !strings.Contains(strings.Join(words, " "), "login:") {
		lines = append(lines, "login:guest", "passcode:guest")
	}
	l.c.Send("CONNECT", "", lines...)
	f, err := l.c.Next()
	if err != nil {
		return fmt.Errorf("instead of CONNECTED: %w", err)
	}
	if f.Command != "CONNECTED" {
		p.show(l, f)
	}
	return nil
}

// variable is what stands in braces in a step.
var variable = regexp.MustCompile(`\{([a-z]+)(?:([+-][0-9]+)|\.(-?[0-9]+)\.([A-Za-z-]+))?\}`)

func (p *player) expand(text string) (string, error) {
	var bad error
	out := variable.ReplaceAllStringFunc(text, func(written string) string {
		m := variable.FindStringSubmatch(written)
		if m[3] != "" {
			value, err := p.received(m[1], m[3], m[4])
			if err != nil {
				bad = fmt.Errorf("%s: %w", written, err)
			}
			return value
		}
		switch m[1] {
		case "n":
			return p.name
		case "q":
			return "/queue/" + p.name
		case "t":
			return "/topic/" + p.name
		case "c":
			return "c-" + p.name
		case "now":
			plus, _ := strconv.ParseInt(m[2], 10, 64)
			value := strconv.FormatInt(time.Now().UnixMilli()+plus, 10)
			p.times[value] = written
			return value
		}
		return written // a body of JSON has braces of its own
	})
	return out, bad
}

// received is a header of a MESSAGE that a connection received; where there is none, the word for it goes out instead,
// and the answer tells.
func (p *player) received(conn, nth, header string) (string, error) {
	n, err := strconv.Atoi(nth)
	l := p.all[conn]
	if err != nil || l == nil {
		return "", fmt.Errorf("no connection %s", conn)
	}
	if n < 0 {
		n += len(l.messages) + 1
	}
	if n < 1 || n > len(l.messages) {
		return "none", nil
	}
	if header == "body" {
		return l.messages[n-1].Body, nil
	}
	return l.messages[n-1].Get(header), nil
}

// next reads a frame; ok is false at the end of the connection.
func (p *player) next(l *line, within time.Duration) (f raw.Frame, ok bool, err error) {
	if l.over {
		return f, false, nil
	}
	f, err = l.c.Within(within)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return f, false, errNothing
	case err != nil:
		l.over = true
		return f, false, nil
	}
	if f.Command == "MESSAGE" {
		l.messages = append(l.messages, f)
	}
	return f, true, nil
}

// show writes a frame into the transcript.
func (p *player) show(l *line, f raw.Frame) {
	p.out = append(p.out, l.name+"< "+p.frame(strconv.Itoa(slices.Index(p.lines, l)), f))
	if message, ok := f.Lookup("message"); ok && f.Command == "ERROR" {
		p.out = append(p.out, "# in words: "+p.text(message))
	}
}

// note writes something else.
func (p *player) note(l *line, what string) { p.out = append(p.out, l.name+"< ("+what+")") }

// until reads and shows frames up to one, or the end.
func (p *player) until(l *line, last func(raw.Frame) bool) error {
	for {
		f, ok, err := p.next(l, p.waits)
		if err != nil {
			p.note(l, "nothing")
			return err
		}
		if !ok {
			p.note(l, "closed")
			return nil
		}
		p.show(l, f)
		if last(f) {
			return nil
		}
	}
}

func (p *player) wait(l *line, words []string) error {
	n, err := strconv.Atoi(words[0])
	if err != nil {
		return err
	}
	if len(words) == 1 {
		return p.until(l, func(raw.Frame) bool { n--; return n == 0 })
	}
	var all []raw.Frame
	for ; n > 0; n-- {
		f, ok, err := p.next(l, p.waits)
		if err != nil || !ok {
			p.note(l, fmt.Sprintf("%d did not come", n))
			return errNothing
		}
		all = append(all, f)
	}
	order := func(f raw.Frame) string {
		return f.Command + f.Get("subscription") + f.Get("destination") + destinationName.FindString(f.Body) + f.Body
	}
	slices.SortStableFunc(all, func(a, b raw.Frame) int { return strings.Compare(order(a), order(b)) })
	for _, f := range all {
		p.show(l, f)
	}
	return nil
}

// destinationName is what statistics are about.
var destinationName = regexp.MustCompile(`"destinationName[^}]*`)

// holds reports whether a text is anywhere in a frame.
func holds(f raw.Frame, text string) bool {
	return strings.Contains(f.Body, text) || strings.Contains(strings.Join(f.Lines, "\n"), text)
}

func (p *player) find(l *line, words []string) error {
	n, err := strconv.Atoi(words[0])
	if err != nil || len(words) < 2 {
		return errors.New("find wants a number and a text")
	}
	for n > 0 {
		before := len(l.messages)
		f, ok, err := p.next(l, p.waits)
		if err != nil || !ok {
			p.note(l, "not found")
			return errNothing
		}
		if !holds(f, words[1]) {
			l.messages = l.messages[:before]
			continue
		}
		p.show(l, f)
		n--
	}
	return nil
}

func (p *player) silent(l *line) error {
	f, ok, err := p.next(l, p.quiet)
	switch {
	case err != nil:
		p.note(l, "silent")
	case !ok:
		p.note(l, "closed")
	default:
		p.show(l, f)
	}
	return nil
}

// sync has the broker answer something that is not asked about.
func (p *player) sync(l *line) error {
	l.c.Send("SEND", "", "destination:/queue/elsewhere."+p.name, "receipt:sync")
	for {
		f, ok, err := p.next(l, p.waits)
		switch {
		case err != nil:
			p.note(l, "nothing")
			return err
		case !ok:
			p.note(l, "closed")
			return nil
		case f.Command == "RECEIPT" && f.Get("receipt-id") == "sync":
			return nil
		}
		p.show(l, f)
	}
}

// put sends a message; only what is not its receipt is worth a word.
func (p *player) put(words []string, body string) error {
	l := p.all["putter"]
	if l == nil {
		if err := p.login("putter", []string{"1.2"}); err != nil {
			return err
		}
		l = p.all["putter"]
	}
	l.c.Send("SEND", body, append([]string{"destination:" + words[0], "receipt:put"}, words[1:]...)...)
	f, ok, err := p.next(l, p.waits)
	switch {
	case err != nil:
		p.note(l, "nothing")
		return err
	case !ok:
		p.note(l, "closed")
	case f.Command != "RECEIPT":
		p.show(l, f)
	}
	return nil
}

// part says goodbye and waits for the answer, but not for long.
func (p *player) part(l *line) {
	l.c.Send("DISCONNECT", "", "receipt:parted")
	for {
		if _, ok, err := p.next(l, 2*time.Second); err != nil || !ok {
			return
		}
	}
}

// drain empties the dead-letter queue that all probes share; who uses it holds the lock dlq.
func (p *player) drain() error {
	if err := p.take("/queue/ActiveMQ.DLQ"); err != nil {
		return fmt.Errorf("the dead-letter queue cannot be emptied: %v", p.out)
	}
	p.out, p.lines, p.veil = nil, nil, newVeil(p.name)
	return nil
}

// take takes what is on a queue, up to last messages that it sends itself: one of each delivery mode, which may overtake one another.
func (p *player) take(queue string) error {
	if err := p.login("taker", []string{"1.2"}); err != nil {
		return err
	}
	l := p.all["taker"]
	const last = "the last one"
	for _, mode := range []string{"false", "true"} {
		l.c.Send("SEND", last, "destination:"+queue, "persistent:"+mode, "priority:0", "receipt:sent")
		if f, ok, err := p.next(l, p.waits); err != nil || !ok || f.Command != "RECEIPT" {
			p.out = append(p.out, fmt.Sprintf("%s cannot be taken: %v", p.text(queue), f.Command))
			return errNothing
		}
	}
	l.c.Send("SUBSCRIBE", "", "destination:"+queue, "id:take", "ack:auto")
	var bodies []string
	for found := 0; found < 2; {
		f, ok, err := p.next(l, p.waits)
		switch {
		case err != nil || !ok || f.Command != "MESSAGE":
			p.out = append(p.out, fmt.Sprintf("%s cannot be taken: %v", p.text(queue), f.Command))
			return errNothing
		case f.Body == last:
			found++
			continue
		}
		b := p.body(f)
		if f.Get("redelivered") == "true" {
			b += " (redelivered)"
		}
		bodies = append(bodies, b)
	}
	p.out = append(p.out, fmt.Sprintf("%s holds %q", p.text(queue), bodies))
	l.c.Send("DISCONNECT", "", "receipt:bye")
	for !l.over {
		if _, _, err := p.next(l, p.waits); err != nil {
			return err
		}
	}
	return nil
}
