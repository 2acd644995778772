package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// library is all that a server reads from files. It belongs to one goroutine at a time.
type library struct {
	*settings
	certs    *shelf[[]*x509.Certificate]
	lists    *shelf[[]*list]
	policies *shelf[policy]
	pair     *tls.Certificate
	// pairInfo are the files of the pair when they were read; pairErr is why they could not be read again.
	pairInfo [2]os.FileInfo
	pairErr  error
	dir      directory
	dirErr   error
}

func newLibrary(s *settings) *library {
	return &library{settings: s, certs: newShelf(parseCertificates), lists: newShelf(parseLists), policies: newShelf(parsePolicy)}
}

// holdings are what a library has at one moment. They do not change any more.
type holdings struct {
	pair  *tls.Certificate
	trust *trust
	// lists are the revocation lists by file.
	lists map[string][]*list
}

// look reads what has changed. It returns nil holdings if nothing has, and the errors that are new; a thorough look returns
// holdings always, and all errors.
func (l *library) look(thorough bool, now time.Time) (*holdings, []error) {
	changed, errs := l.lookAtPair(thorough)
	note := func(this bool, err error) {
		changed = changed || this
		if (this || thorough) && err != nil {
			errs = append(errs, err)
		}
	}
	for _, file := range l.ClientCA {
		b, this := l.certs.look(file)
		note(this, b.err)
	}
	for _, file := range l.CRLs {
		b, this := l.lists.look(file)
		note(this, b.err)
	}
	if l.ClientCADir != "" {
		l.lookAtDirectory(thorough, now, note)
	}
	if !changed && !thorough {
		return nil, errs
	}
	return l.holdings(), errs
}

// lookAtPair reads the server's certificate and its key if one of the files has changed. They change together or not at all.
func (l *library) lookAtPair(thorough bool) (changed bool, errs []error) {
	failed := func(err error) (bool, []error) {
		news := thorough || differ(l.pairErr, err)
		l.pairErr = err
		if news {
			return false, []error{err}
		}
		return false, nil
	}
	var info [2]os.FileInfo
	same := !thorough && l.pairErr == nil
	for i, file := range []string{l.Certificate, l.Key} {
		fi, err := os.Stat(file)
		if err != nil {
			return failed(err)
		}
		same = same && l.pairInfo[i] != nil && unchanged(l.pairInfo[i], fi)
		info[i] = fi
	}
	if same {
		return false, nil
	}
	pair, err := readPair(l.Certificate, l.Key)
	if err != nil {
		return failed(err)
	}
	if info[1].Mode().Perm()&0o044 != 0 {
		l.Log.Warn("the private key may be read by others", "key", l.Key, "mode", info[1].Mode().Perm().String())
	}
	if left := pair.Leaf.NotAfter.Sub(l.Now()); left < 7*24*time.Hour {
		l.Log.Warn("the server's certificate expires soon, or has expired", "certificate", l.Certificate, "not_after", stamp(pair.Leaf.NotAfter))
	}
	l.pair, l.pairInfo, l.pairErr = pair, info, nil
	return true, nil
}

func readPair(certificate, key string) (*tls.Certificate, error) {
	c, err := read(certificate)
	if err != nil {
		return nil, err
	}
	k, err := read(key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(c, k)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", certificate, key, err)
	}
	return &pair, nil
}

// lookAtDirectory reads what has changed in the directory of authorities.
func (l *library) lookAtDirectory(thorough bool, now time.Time, note func(bool, error)) {
	found, err := listDirectory(l.ClientCADir)
	if err != nil {
		news := differ(l.dirErr, err)
		l.dirErr = err
		note(news, err)
		return // what was there stays in force
	}
	l.dirErr = nil
	there := map[entry]bool{}
	for _, entries := range found {
		for _, e := range entries {
			there[e] = true
		}
	}
	for r, old := range l.dir {
		for _, e := range old {
			if there[e] {
				continue
			}
			if r == roleList && !thorough && l.holds(e.file, now) {
				found[r] = append(found[r], e)
				continue
			}
			note(true, nil)
			delete(l.certs.books, e.file)
			delete(l.lists.books, e.file)
			delete(l.policies.books, e.file)
		}
	}
	l.dir = found
	for r, entries := range found {
		for _, e := range entries {
			switch r {
			case roleAuthority:
				b, this := l.certs.look(e.file)
				note(this, b.err)
			case roleList:
				b, this := l.lists.look(e.file)
				note(this, b.err)
			case rolePolicy:
				b, this := l.policies.look(e.file)
				note(this, b.err)
			}
		}
	}
}

// holds reports whether a revocation list's file, which has vanished, still says something: whoever writes lists anew may take the old one away
// first, and nobody is to come in between.
func (l *library) holds(file string, now time.Time) bool {
	b := l.lists.books[file]
	return b != nil && b.good && slices.ContainsFunc(b.says, func(x *list) bool { return now.Before(x.until) })
}

// holdings puts together what all files say now.
func (l *library) holdings() *holdings {
	h := &holdings{pair: l.pair, trust: newTrust(), lists: map[string][]*list{}}
	for _, file := range l.ClientCA {
		h.trust.add(l.certs.books[file].says)
	}
	byBase := map[string][]*x509.Certificate{}
	for _, e := range l.dir[roleAuthority] {
		says := l.certs.books[e.file].says
		h.trust.add(says)
		byBase[e.base] = append(byBase[e.base], says...)
	}
	for _, file := range l.CRLs {
		h.lists[file] = l.lists.books[file].says
	}
	for _, e := range l.dir[roleList] {
		b := l.lists.books[e.file]
		h.lists[e.file] = b.says
		for _, c := range byBase[e.base] {
			if !b.good {
				h.trust.unreadable[authorityName(c.RawSubject)] = e.file
			}
		}
	}
	for _, lists := range h.lists {
		h.trust.addLists(lists)
	}
	h.trust.govern(l.dir[rolePolicy], l.policies, byBase)
	h.trust.settle()
	return h
}

// broken returns why files cannot be read now.
func (l *library) broken() *[]error {
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	note(l.pairErr)
	note(l.dirErr)
	for _, b := range l.certs.books {
		note(b.err)
	}
	for _, b := range l.lists.books {
		note(b.err)
	}
	for _, b := range l.policies.books {
		note(b.err)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return &errs
}

// missing returns an error if the first look did not find what a server cannot do without.
func (l *library) missing(errs []error) error {
	var bad []error
	for _, file := range slices.Concat(l.ClientCA, l.CRLs) {
		if b, ok := l.certs.books[file]; ok && !b.good {
			bad = append(bad, b.err)
		}
		if b, ok := l.lists.books[file]; ok && !b.good {
			bad = append(bad, b.err)
		}
	}
	if l.pair == nil {
		bad = append(bad, errs...)
	}
	if len(bad) > 0 {
		return fmt.Errorf("tls: %w", errors.Join(bad...))
	}
	if l.ClientCADir == "" {
		return nil
	}
	for _, e := range l.dir[roleAuthority] {
		if l.certs.books[e.file].good {
			return nil
		}
	}
	return fmt.Errorf("tls: there is no authority in %s: %w", l.ClientCADir, errors.Join(append(errs, fs.ErrNotExist)...))
}
