package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	// goldenIs where ActiveMQ's answers are, one file per room.
	goldenIs = "testdata/oracle"
	// differencesAre the probes that we answer in another way on purpose: each with its reason, and with what we answer.
	differencesAre = "testdata/differences.txt"
	// pendingAre the probes that wait for a feature: a name and the feature in each line.
	pendingAre = "testdata/pending.txt"
)

// tables are what is known about probes, by their names.
type tables struct {
	golden      map[string][]string
	pending     map[string]string
	differences map[string]*difference
	heads       []string // of differences.txt: what stands before the first
	// added are headers that we show and ActiveMQ does not, and why: "everywhere NAME because ..." at the head of
	// differences.txt. They are not looked at, but in the probes that are different on purpose.
	added map[string]string
}

// difference is one that is on purpose.
type difference struct {
	reason string
	ours   []string
}

// readTables reads them all and refuses names that no probe has.
func readTables(probes []probe) (*tables, error) {
	t := &tables{golden: map[string][]string{}, pending: map[string]string{}, differences: map[string]*difference{}, added: map[string]string{}}
	files, err := filepath.Glob(filepath.Join(goldenIs, "*.txt"))
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		_, found, err := readTranscripts(f)
		if err != nil {
			return nil, err
		}
		for name, lines := range found {
			t.golden[name] = spoken(lines)
		}
	}
	heads, ours, err := readTranscripts(differencesAre)
	if err != nil {
		return nil, err
	}
	t.heads = heads
	for _, h := range heads {
		if rule, ok := strings.CutPrefix(h, "everywhere "); ok {
			name, reason, _ := strings.Cut(rule, " because ")
			if reason == "" {
				return nil, fmt.Errorf("%s: %s everywhere, but why?", differencesAre, name)
			}
			t.added[name] = reason
		}
	}
	for name, lines := range ours {
		d := &difference{}
		for _, l := range lines {
			if reason, ok := strings.CutPrefix(l, "because "); ok {
				d.reason = reason
				continue
			}
			d.ours = append(d.ours, l)
		}
		if d.reason == "" {
			return nil, fmt.Errorf("%s: %s differs without a reason", differencesAre, name)
		}
		t.differences[name] = d
	}
	if err := t.readPending(); err != nil {
		return nil, err
	}
	return t, t.known(probes)
}

func (t *tables) readPending() error {
	text, err := os.ReadFile(pendingAre)
	if err != nil {
		return err
	}
	for l := range strings.SplitSeq(string(text), "\n") {
		if l = strings.TrimSpace(l); l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		name, feature, _ := strings.Cut(l, " ")
		if feature = strings.TrimSpace(feature); feature == "" {
			return fmt.Errorf("%s: what does %s wait for?", pendingAre, name)
		}
		t.pending[name] = feature
	}
	return nil
}

// known makes sure that the tables name probes that there are, and each at most once.
func (t *tables) known(probes []probe) error {
	names := map[string]bool{}
	for _, p := range probes {
		names[p.name] = true
	}
	for name := range t.pending {
		if !names[name] {
			return fmt.Errorf("%s: there is no probe %s", pendingAre, name)
		}
		if t.differences[name] != nil {
			return fmt.Errorf("%s is pending and different on purpose", name)
		}
	}
	for name := range t.differences {
		if !names[name] {
			return fmt.Errorf("%s: there is no probe %s", differencesAre, name)
		}
	}
	return nil
}

// without is a transcript of ours without the headers that we add everywhere; those that were there are noted in seen.
func (t *tables) without(transcript []string, seen map[string]bool) (out []string) {
	for _, l := range transcript {
		if i := strings.Index(l, "< MESSAGE "); i > 0 && !strings.HasPrefix(l, "> ") {
			head, body, hasBody := strings.Cut(l, " | ")
			var words []string
			for _, w := range word.FindAllString(head, -1) {
				name, _, _ := strings.Cut(strings.TrimPrefix(w, `"`), ":")
				if t.added[name] != "" {
					seen[name] = true
					continue
				}
				words = append(words, w)
			}
			if l = strings.Join(words, " "); hasBody {
				l += " | " + body
			}
		}
		out = append(out, l)
	}
	return out
}

// readTranscripts reads a file of transcripts, by name, and the remarks before the first.
func readTranscripts(file string) (heads []string, all map[string][]string, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	all = map[string][]string{}
	name := ""
	for l := range strings.SplitSeq(string(text), "\n") {
		switch head, isHead := strings.CutPrefix(l, "## "); {
		case isHead:
			name, _, _ = strings.Cut(head, " ")
			if all[name] != nil {
				return nil, nil, fmt.Errorf("%s: %s is there twice", file, name)
			}
			all[name] = []string{}
		case l == "":
		case name == "":
			heads = append(heads, l)
		default:
			all[name] = append(all[name], l)
		}
	}
	return heads, all, nil
}

// writeDifferences writes differences.txt anew, in the order of the probes.
func (t *tables) writeDifferences(probes []probe) error {
	var b strings.Builder
	for _, h := range t.heads {
		fmt.Fprintln(&b, h)
	}
	for _, p := range probes {
		if d := t.differences[p.name]; d != nil {
			fmt.Fprintf(&b, "\n## %s  %s\nbecause %s\n%s\n", p.name, p.title, d.reason, strings.Join(d.ours, "\n"))
		}
	}
	return os.WriteFile(differencesAre, []byte(b.String()), 0o644)
}
