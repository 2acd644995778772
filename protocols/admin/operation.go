package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sluice-mq/sluice/gateway"
)

// Operation is something that an operator can have a node do while it runs.
type Operation struct {
	// Name is a word: "drain". Who may do it is said of /admin/drain.
	Name string
	// Do writes to w what it does, line by line as it goes, and returns what ended it in words. It may be called
	// concurrently; what excludes another says so.
	Do func(ctx context.Context, call Call, w io.Writer) error
	// Whole: it comes to its end although whoever asked goes away.
	Whole bool
}

// Call is who asks for an operation, and with what.
type Call struct {
	Principal gateway.Principal
	// Rights are those of the principal, for operations on a destination. Whoever may write to the control socket has all.
	Rights gateway.Rights
	// Arguments are the words that belong to the operation, by name. They come from outside.
	Arguments url.Values
	// Body is what comes with it, such as a backup.
	Body io.Reader
	// still tells what the caller may do now; nil: that does not change.
	still func() (gateway.Rights, error)
}

// Now returns the caller's rights by the rules of this moment, for operations that take long. The error says that the caller may not do the operation any more.
func (c Call) Now(operation string) (gateway.Rights, error) {
	if c.still == nil {
		return c.Rights, nil
	}
	rights, err := c.still()
	if err == nil {
		err = rights.Operate(operation)
	}
	return rights, err
}

const (
	// failure is the trailer that says what went wrong; ended is there if the answer is whole.
	failure = "Sluice-Error"
	ended   = "Sluice-Ended"
	// operationsPath begins the paths of operations at the door.
	operationsPath = "/operations/"
)

// serve carries out an operation; what it writes goes out at once. The auditor hears of it before and after: some take long.
func (o Operation) serve(w http.ResponseWriter, r *http.Request, call Call, a gateway.Auditor, e gateway.Event) {
	e.Kind, e.Principal, e.Operation, e.Subject = gateway.Administered, call.Principal, o.described(r.URL.Query()), "begins"
	record(a, &e)
	e.Subject = "ends"
	defer func() { record(a, &e) }()
	call.Arguments, call.Body = r.URL.Query(), r.Body
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Trailer", failure+", "+ended)
	ctx := r.Context()
	if o.Whole {
		ctx = context.WithoutCancel(ctx)
	}
	err := o.Do(ctx, call, prompt{w, http.NewResponseController(w)})
	if err != nil {
		w.Header().Set(failure, url.QueryEscape(err.Error()))
	}
	w.Header().Set(ended, "true")
	e.Err = err
}

// described is the operation with its arguments, as an audit has it.
func (o Operation) described(arguments url.Values) string {
	words := []string{o.Name}
	for name, values := range arguments {
		for _, v := range values {
			words = append(words, fmt.Sprintf("%s=%q", name, v))
		}
	}
	slices.Sort(words[1:])
	return strings.Join(words, " ")
}

// prompt writes without delay.
type prompt struct {
	io.Writer
	control *http.ResponseController
}

func (p prompt) Write(b []byte) (int, error) {
	n, err := p.Writer.Write(b)
	if err == nil {
		err = p.control.Flush()
	}
	return n, err
}

// outcome reads the end of an operation's answer.
func outcome(trailer http.Header) error {
	if text, err := url.QueryUnescape(trailer.Get(failure)); err != nil || text != "" {
		return errors.New(text)
	}
	if trailer.Get(ended) == "" {
		return errors.New("the node's answer broke off")
	}
	return nil
}
