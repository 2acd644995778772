package conformance

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// probesAre where the scripts are, one file per room. Each probe begins with
//
//	## name  what is asked, with the row of the tables that it stands for
//
// and has one step per line. The first word of a step is a connection, but for the last four:
//
//	a dial                        connects and says nothing
//	a login 1.2 client-id:{c}     connects and logs in; CONNECTED is not in the transcript
//	a SEND destination:{q} | x    sends a frame; words with blanks are Go strings, and so may the body be
//	a SEND! destination:{q}       the same with a receipt, and reads up to it or an ERROR that answers it
//	a raw "SEND\n\n\x00"          sends bytes
//	a wait 2 [sorted]             reads as many frames; sorted where their order is nobody's promise
//	a until TEXT                  reads up to a frame that holds the text
//	a find 1 TEXT                 reads up to as many frames that hold the text, and forgets the others
//	a silent                      nothing comes for a while
//	a sync                        a SEND to elsewhere and its receipt: what came before that is in the transcript
//	a closed                      reads up to the end of the connection
//	a leave                       DISCONNECT with a receipt, and reads up to the end
//	a drop                        closes the socket
//	put {q} persistent:true | x   sends by a connection of its own, the same for all puts, and waits for the receipt
//	take /queue/x                 takes what is on a queue by a connection of its own, and shows the bodies
//	lock NAME                     no two probes with the same lock are asked at once
//	pass 300                      milliseconds go by, where time is what is asked about
//
// In a step {n} is a name that no other probe has, {q} and {t} the queue and the topic of that name, {c} a client-id,
// {now+500} the clock in milliseconds, and {a.2.ack} the header ack of the second MESSAGE that a received (-1 is the last).
const probesAre = "testdata/probes"

// probe is one question.
type probe struct {
	room, name, title string
	locks             []string
	steps             []step
}

// step is one line of a probe.
type step struct {
	text  string // as it was written
	conn  string // "" for steps that have none
	verb  string
	words []string // what follows the verb
	body  string
	where string
}

// readProbes reads all rooms in the order of their names.
func readProbes() (all []probe, err error) {
	files, err := filepath.Glob(filepath.Join(probesAre, "*.txt"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		found, err := readRoom(name)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	names := map[string]bool{}
	for _, p := range all {
		if names[p.name] {
			return nil, fmt.Errorf("two probes are called %s", p.name)
		}
		names[p.name] = true
	}
	return all, nil
}

func readRoom(file string) (all []probe, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	room := strings.TrimSuffix(filepath.Base(file), ".txt")
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := strings.TrimSpace(lines.Text())
		where := fmt.Sprintf("%s:%d", file, n)
		switch head, isHead := strings.CutPrefix(text, "## "); {
		case isHead:
			name, title, _ := strings.Cut(head, " ")
			all = append(all, probe{room: room, name: room + "." + name, title: strings.TrimSpace(title)})
		case text == "" || strings.HasPrefix(text, "#"):
		case len(all) == 0:
			return nil, fmt.Errorf("%s: a step before the first probe", where)
		default:
			p := &all[len(all)-1]
			s, err := parseStep(text)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", where, err)
			}
			s.where = where
			if s.verb == "lock" {
				p.locks = append(p.locks, s.words[0])
				continue
			}
			p.steps = append(p.steps, s)
		}
	}
	return all, lines.Err()
}

// word is a Go string, or anything without a blank that may end in one.
var word = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\S+`)

func parseStep(text string) (s step, err error) {
	s.text = text
	line, body, hasBody := strings.Cut(text, " | ")
	if hasBody {
		s.body = body
		if strings.HasPrefix(body, `"`) {
			if s.body, err = strconv.Unquote(body); err != nil {
				return s, fmt.Errorf("the body %s: %w", body, err)
			}
		}
	}
	for _, w := range word.FindAllString(line, -1) {
		if strings.HasPrefix(w, `"`) {
			if w, err = strconv.Unquote(w); err != nil {
				return s, fmt.Errorf("%s: %w", w, err)
			}
		}
		s.words = append(s.words, w)
	}
	switch s.words[0] {
	case "take", "lock", "pass", "put":
		s.verb, s.words = s.words[0], s.words[1:]
		if len(s.words) != 1 && s.verb != "put" || len(s.words) == 0 {
			return s, fmt.Errorf("%s wants one word", s.verb)
		}
		return s, nil
	}
	if len(s.words) < 2 {
		return s, fmt.Errorf("%q says nothing", text)
	}
	s.conn, s.verb, s.words = s.words[0], s.words[1], s.words[2:]
	return s, nil
}
