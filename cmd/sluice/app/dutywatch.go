package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/selector"
	"github.com/sluice-mq/sluice/gateway/tap"
	"github.com/sluice-mq/sluice/protocols/admin"
)

// The arguments of operations that watch.
const (
	sessionArgument     = "session"
	destinationArgument = "destination"
	everyArgument       = "every"
	selectorArgument    = "selector"
	bodiesArgument      = "bodies"
)

// Connections lists the sessions of this node, a line each.
func (d *duty) Connections(_ context.Context, w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tUSER\tREMOTE\tCLIENT-ID\tPROTOCOL\tLIBRARY\tSINCE\tIN\tOUT\tSUBSCRIPTIONS\tIN FLIGHT")
	for _, c := range d.life.node.broker.Connections() {
		flight := 0
		for _, s := range c.Subscriptions {
			flight += s.InFlight
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\n", c.Session, shownName(c.Principal), c.Remote, shownText(c.ClientID), c.Protocol,
			shownText(c.Library), c.Since.UTC().Format(time.RFC3339), c.In, c.Out, len(c.Subscriptions), flight)
	}
	return t.Flush()
}

// shownName is a principal as lists have it.
func shownName(p gateway.Principal) string {
	if p.Name == "" {
		return "(anonymous)"
	}
	return shownText(p.Name)
}

// shownText makes what comes from clients fit for a terminal.
func shownText(s string) string {
	if quoted := strconv.QuoteToGraphic(s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}

// Disconnect ends a session.
func (d *duty) Disconnect(c admin.Call) error {
	name := c.Arguments.Get(sessionArgument)
	if name == "" {
		return errors.New("which session? (sluice connections lists them)")
	}
	return d.life.node.broker.Disconnect(name, "")
}

// Tap shows what happens to messages, a JSON object a line, until whoever asked goes away.
func (d *duty) Tap(ctx context.Context, c admin.Call, w io.Writer) error {
	o, err := tapOptions(c)
	if err != nil {
		return err
	}
	rights, as := c.Rights, d.reloads.Load()
	if o.Destination.Name != "" {
		if err := rights.May(gateway.Manage, o.Destination); err != nil {
			return err
		}
	}
	tap, err := d.life.node.broker.Tap(ctx, o)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	for e := range tap.Events() {
		if now := d.reloads.Load(); now != as || !c.Principal.Expires.IsZero() && !time.Now().Before(c.Principal.Expires) {
			if rights, err = c.Now("tap"); err != nil {
				return err
			}
			as = now
		}
		if rights.May(gateway.Manage, e.Destination) != nil {
			continue // a pattern, or a session, of which not everything may be seen
		}
		if err := lines.Encode(tapped(e)); err != nil {
			return nil // whoever asked has gone
		}
	}
	return nil
}

// tapOptions reads what to watch.
func tapOptions(c admin.Call) (o tap.Options, err error) {
	o.Session = c.Arguments.Get(sessionArgument)
	o.Bodies = c.Arguments.Has(bodiesArgument)
	if text := c.Arguments.Get(destinationArgument); text != "" {
		if o.Destination, err = destination(text); err != nil {
			return o, err
		}
	} else if o.Session == "" {
		return o, errors.New("a destination or a session is needed")
	}
	if text := c.Arguments.Get(everyArgument); text != "" {
		if o.Every, err = strconv.Atoi(text); err != nil || o.Every < 1 {
			return o, fmt.Errorf("every: %q is not a number from 1", text)
		}
	}
	if text := c.Arguments.Get(selectorArgument); text != "" {
		s, err := selector.Parse(text)
		if err != nil {
			return o, err
		}
		o.Match = func(m *gateway.Message) bool { return s.MatchMessage(m, 0) }
	}
	return o, nil
}

// destination reads "/queue/a.b" or "/topic/a.>".
func destination(text string) (gateway.Destination, error) {
	for prefix, kind := range map[string]gateway.Kind{"/queue/": gateway.KindQueue, "/topic/": gateway.KindTopic} {
		if name, ok := strings.CutPrefix(text, prefix); ok {
			d := gateway.Destination{Kind: kind, Name: name}
			return d, d.Validate()
		}
	}
	return gateway.Destination{}, fmt.Errorf("%q does not begin with /queue/ or /topic/", text)
}

// tapLine is a TapEvent as it is written.
type tapLine struct {
	Time         time.Time   `json:"time"`
	Event        string      `json:"event"`
	Destination  string      `json:"destination"`
	Message      string      `json:"message_id"`
	User         string      `json:"user,omitempty"`
	Session      string      `json:"session,omitempty"`
	Remote       string      `json:"remote,omitempty"`
	Subscription string      `json:"subscription,omitempty"`
	Redeliveries uint32      `json:"redeliveries,omitempty"`
	Header       [][2]string `json:"header,omitempty"`
	Size         int         `json:"size"`
	Body         string      `json:"body,omitempty"`
	Base64       []byte      `json:"body_base64,omitempty"`
	Dropped      uint64      `json:"dropped_before,omitempty"`
}

func tapped(e tap.Event) tapLine {
	l := tapLine{
		Time: e.Time.UTC(), Event: string(e.Kind), Destination: e.Destination.String(), Message: e.MessageID, User: e.User, Session: e.Session, Remote: e.Remote,
		Subscription: e.Subscription, Redeliveries: e.Redeliveries, Size: e.BodySize, Dropped: e.Dropped,
	}
	for _, f := range e.Header {
		l.Header = append(l.Header, [2]string{f.Name, f.Value})
	}
	if utf8.Valid(e.Body) {
		l.Body = string(e.Body)
	} else {
		l.Base64 = e.Body
	}
	return l
}
