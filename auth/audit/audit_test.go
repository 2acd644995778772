package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
)

// journal is a log that tests read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) lines() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Split(strings.TrimSuffix(j.text.String(), "\n"), "\n")
}

func (j *journal) count(words string) (n int) {
	for _, l := range j.lines() {
		if strings.Contains(l, words) {
			n++
		}
	}
	return n
}

func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

func start(t *testing.T, cfg Config) (*Auditor, *journal) {
	t.Helper()
	j := &journal{}
	cfg.Log = slog.New(slog.NewJSONHandler(j, nil))
	cfg.Now = noon
	a, err := Open(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, a.Close(ctx))
	})
	return a, j
}

func finish(t *testing.T, a *Auditor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, a.Close(ctx))
}

func read(t *testing.T, path string) (lines []map[string]any) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	for l := range strings.Lines(string(text)) {
		var m map[string]any
		require.NoError(t, json.Unmarshal([]byte(l), &m), "%q", l)
		lines = append(lines, m)
	}
	return lines
}

func within(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 10*time.Second, time.Millisecond, what)
}

// full is an event with something in each field.
func full() *gateway.Event {
	return &gateway.Event{
		Kind: gateway.Subscribed,
		Principal: gateway.Principal{Name: "alice", Groups: []string{"ops", "a,b"}, DN: "CN=alice,DC=example", Method: "certificate",
			Expires: noon()},
		Claimed: "claimed", Session: "s1", ClientID: "c1", Protocol: "stomp/1.2", Listener: "10.0.0.1:61613", Remote: "10.0.0.2:4711", Library: "stomp.py/8",
		Destination: gateway.Destination{Kind: gateway.KindTopic, Name: "a.>"}, Operation: "tap /queue/x", Subject: "sub-1", Count: 3,
		Err: gateway.Errorf(gateway.Limit, "too many"),
	}
}

func TestEachFieldHasItsKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	a, _ := start(t, Config{Path: path})
	a.Record(full())
	a.Record(&gateway.Event{Kind: gateway.Connected})
	a.Record(&gateway.Event{Kind: gateway.LoginRefused, Claimed: "bob", Err: errors.New("no")})
	finish(t, a)
	require.Equal(t, []map[string]any{{
		"time": "2026-11-21T12:00:00Z", "event": "subscribe", "user": "alice", "claimed": "claimed", "groups": []any{"ops", "a,b"}, "dn": "CN=alice,DC=example",
		"method": "certificate", "remote": "10.0.0.2:4711", "listener": "10.0.0.1:61613", "client_id": "c1", "protocol": "stomp/1.2", "library": "stomp.py/8",
		"session": "s1", "destination": "topic://a.>", "operation": "tap /queue/x", "subject": "sub-1", "count": 3., "error": "too many",
	}, {
		"time": "2026-11-21T12:00:00Z", "event": "connect", "user": "anonymous",
	}, {
		"time": "2026-11-21T12:00:00Z", "event": "login_refused", "claimed": "bob", "error": "no",
	}}, read(t, path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// TestNothingOfAnEventIsForgotten fails when an event learns something that no line says.
func TestNothingOfAnEventIsForgotten(t *testing.T) {
	unsaid := map[string]bool{"Proof": true, "Expires": true}
	var check func(v reflect.Value)
	without := len(attrs(full()))
	e := full()
	check = func(v reflect.Value) {
		for i := range v.NumField() {
			name, f := v.Type().Field(i).Name, v.Field(i)
			switch {
			case unsaid[name]:
			case f.Type() == reflect.TypeFor[gateway.Principal]():
				check(f)
			default:
				before := reflect.New(f.Type()).Elem()
				before.Set(f)
				f.SetZero()
				got := attrs(e)
				if name == "Name" {
					require.Equal(t, "anonymous", got["user"])
				} else if name == "Kind" {
					require.NotContains(t, got, "event")
				} else {
					require.Len(t, got, without-1, name)
				}
				f.Set(before)
			}
		}
	}
	check(reflect.ValueOf(e).Elem())
}

func attrs(e *gateway.Event) map[string]string {
	m := make(map[string]string)
	line(new(fields), noon(), e).Attrs(func(a slog.Attr) bool { m[a.Key] = a.Value.String(); return true })
	return m
}

// TestCausesStayOut: a secret can come into an event only with a cause that quotes it, and causes are not written.
func TestCausesStayOut(t *testing.T) {
	const canary = "passcode-4711-canary"
	path := filepath.Join(t.TempDir(), "audit.log")
	a, j := start(t, Config{Path: path})
	for _, err := range []error{
		gateway.WrapError(gateway.Unauthenticated, errors.New("bind with "+canary), "User name [x] or password is invalid."),
		fmt.Errorf("login with %s: %w", canary, gateway.Errorf(gateway.Unauthenticated, "User name [x] or password is invalid.")),
	} {
		a.Record(&gateway.Event{Kind: gateway.LoginRefused, Claimed: "x", Err: err})
	}
	finish(t, a)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NotContains(t, string(text), canary)
	require.NotContains(t, strings.Join(j.lines(), "\n"), canary)
	require.Equal(t, 2, strings.Count(string(text), "User name [x] or password is invalid."))
	// Whoever adds a place for a secret to an event finds this list first.
	var fields []string
	for _, typ := range []reflect.Type{reflect.TypeFor[gateway.Event](), reflect.TypeFor[gateway.Principal]()} {
		for i := range typ.NumField() {
			fields = append(fields, typ.Field(i).Name)
		}
	}
	require.Equal(t, []string{"Kind", "Principal", "Claimed", "Session", "ClientID", "Protocol", "Listener", "Remote", "Library", "Destination", "Operation",
		"Subject", "Count", "Err", "Name", "Groups", "DN", "Method", "Proof", "Expires"}, fields)
}

func TestNoValueBreaksALineOrMakesItLong(t *testing.T) {
	for _, evil := range []string{
		"a\nb", "a\r\n{\"event\":\"admin\"}", "\x00\x1b[2J", "\u2028\u2029", "\"},{", "\xff\xfe", strings.Repeat("x", 1<<20), strings.Repeat("€", 1<<10),
		strings.Repeat("\n", 1024), strings.Repeat("\xff", 2048),
	} {
		path := filepath.Join(t.TempDir(), "audit.log")
		a, _ := start(t, Config{Path: path})
		e := full()
		e.Claimed, e.ClientID, e.Library, e.Subject, e.Operation, e.Session = evil, evil, evil, evil, evil, evil
		e.Principal.Name, e.Principal.DN, e.Destination.Name, e.Err = evil, evil, evil, errors.New(evil)
		e.Principal.Groups = []string{"g", evil, "h"}
		a.Record(e)
		finish(t, a)
		lines := read(t, path)
		require.Len(t, lines, 1)
		for key, value := range lines[0] {
			if s, ok := value.(string); ok {
				require.LessOrEqual(t, utf8.RuneCountInString(s), LongestValue, key)
				require.True(t, utf8.ValidString(s))
			}
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Less(t, len(text), 12*6*LongestValue+1024)
		if len(evil) > LongestValue {
			require.Contains(t, lines[0]["subject"], "bytes more)")
		}
	}
	many := make([]string, 1000)
	require.Len(t, clipAll(many), 33)
	require.Equal(t, []string{"...(1000 more)"}, clipAll(append([]string{strings.Repeat("x", 2000)}, many[1:]...)))
}

func TestLinesGoToTheLogWithoutAFile(t *testing.T) {
	a, j := start(t, Config{})
	a.Record(full())
	a.Record(&gateway.Event{Kind: gateway.ActionDenied, Principal: gateway.Principal{Name: "eve"}})
	require.NoError(t, a.Reopen())
	within(t, "two lines", func() bool { return j.count(`"msg":"audit"`) == 2 })
	require.Equal(t, 1, j.count(`"level":"WARN","msg":"audit","event":"denied","user":"eve"`))
	finish(t, a)
	a.Record(full())
	require.Equal(t, 2, j.count("audit"), "nothing is written after Close")
	require.Zero(t, a.Missing())
}

func TestCommandsAreSwitchedWhileItRuns(t *testing.T) {
	a, _ := start(t, Config{})
	require.False(t, a.Commands())
	a.SetCommands(true)
	require.True(t, a.Commands())
	b, _ := start(t, Config{Commands: true})
	require.True(t, b.Commands())
	b.SetCommands(false)
	require.False(t, b.Commands())
}

// TestALineIsInTheFileWithinTheFlushTime, and lines that come together are written together.
func TestALineIsInTheFileWithinTheFlushTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	synctest.Test(t, func(t *testing.T) {
		a, err := Open(Config{Path: path, Log: slog.New(slog.DiscardHandler), Now: noon})
		require.NoError(t, err)
		a.Record(full())
		synctest.Wait()
		require.Empty(t, read(t, path))
		time.Sleep(DefaultFlush + time.Millisecond)
		synctest.Wait()
		require.Len(t, read(t, path), 1)
		finish(t, a)
	})
}

func TestLogrotateIsFollowed(t *testing.T) {
	dir := t.TempDir()
	path, old := filepath.Join(dir, "audit.log"), filepath.Join(dir, "audit.log.1")
	a, _ := start(t, Config{Path: path, Flush: time.Millisecond})
	a.Record(&gateway.Event{Kind: gateway.Connected})
	within(t, "the first line", func() bool { return len(read(t, path)) == 1 })
	require.NoError(t, os.Rename(path, old))
	a.Record(&gateway.Event{Kind: gateway.Disconnected})
	within(t, "the second line goes where the file went", func() bool { return len(read(t, old)) == 2 })
	require.NoError(t, a.Reopen())
	require.NoError(t, a.Reopen())
	a.Record(&gateway.Event{Kind: gateway.Connected})
	finish(t, a)
	require.Len(t, read(t, old), 2)
	require.Len(t, read(t, path), 1)
	require.NoError(t, a.Reopen(), "after Close it does nothing")

	b, _ := start(t, Config{Path: path})
	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	require.ErrorContains(t, b.Reopen(), "open the audit file")
	b.Record(full())
	finish(t, b)
	_, err := Open(Config{Path: path})
	require.ErrorContains(t, err, "open the audit file")
}

// TestALineThatACrashCutOffStaysByItself: the next one begins on its own line.
func TestALineThatACrashCutOffStaysByItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.WriteFile(path, []byte(`{"event":"conn`), 0o600))
	a, _ := start(t, Config{Path: path})
	a.Record(full())
	finish(t, a)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(text), `{"event":"conn`+"\n{"))
	require.Equal(t, 2, strings.Count(string(text), "\n"))
}

// filling is a disk with little room.
type filling struct {
	bytes.Buffer
	room int
}

func (f *filling) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	f.Buffer.Write(p[:n])
	if n < len(p) {
		return n, syscall.ENOSPC
	}
	return n, nil
}

func (f *filling) Close() error { return nil }

// TestALineThatTheDiskCutOffIsLostAlone: those before it are there, and the next one begins on its own line.
func TestALineThatTheDiskCutOffIsLostAlone(t *testing.T) {
	disk := &filling{room: 8}
	o := output{file: disk}
	o.lines.WriteString("one\ntwoandmore\nthree\n")
	lost, err := o.flush()
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 2, lost)
	o.lines.WriteString("four\n")
	lost, err = o.flush()
	require.Error(t, err, "there is no room for the line end either")
	require.Equal(t, 1, lost)
	disk.room = 100
	o.lines.WriteString("five\n")
	lost, err = o.flush()
	require.NoError(t, err)
	require.Zero(t, lost)
	o.lines.WriteString("six\n")
	_, err = o.flush()
	require.NoError(t, err)
	require.Equal(t, "one\ntwoa\nfive\nsix\n", disk.String())
}

// TestAFullDiskIsSaidOnce, and once when it is over.
func TestAFullDiskIsSaidOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	require.NoError(t, os.Symlink("/dev/full", path))
	a, j := start(t, Config{Path: path, Flush: time.Millisecond})
	for i := range 5 {
		a.Record(full())
		within(t, "it is counted", func() bool { return a.Missing() == uint64(i+1) })
	}
	require.NoError(t, os.Remove(path))
	require.NoError(t, a.Reopen())
	a.Record(full())
	within(t, "it is over", func() bool { return j.count(`"msg":"the audit can be written again","missing_since_start":5`) == 1 })
	require.Equal(t, 1, j.count("cannot be written"))
	finish(t, a)
	require.Len(t, read(t, path), 1)
}

// TestADiskThatHangsDoesNotHoldUpAnybody: a pipe that nobody reads stands for it.
func TestADiskThatHangsDoesNotHoldUpAnybody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	const queue = 256 << 10
	a, j := start(t, Config{Path: path, Queue: queue, Flush: time.Millisecond})
	recorded := 0
	within(t, "events are dropped", func() bool {
		a.Record(full())
		recorded++
		return a.Missing() > 100
	})
	a.mu.Lock()
	require.LessOrEqual(t, a.size, queue)
	a.mu.Unlock()
	require.LessOrEqual(t, j.count("faster than they can be written"), 3, "once for each time")
	require.NotZero(t, j.count("faster than they can be written"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, a.Close(ctx), context.DeadlineExceeded)
	pipe, err := os.OpenFile(path, os.O_RDONLY, 0)
	require.NoError(t, err)
	defer pipe.Close()
	read := make(chan int)
	go func() {
		text, _ := io.ReadAll(pipe)
		read <- strings.Count(string(text), "\n")
	}()
	finish(t, a)
	require.Equal(t, recorded-int(a.Missing()), <-read, "what was not counted as missing is there")
}

func TestManyRecordAtOnceWhileTheFileIsRotated(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "audit.log")
	a, _ := start(t, Config{Path: path, Flush: time.Millisecond})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 500 {
				a.Record(full())
				a.SetCommands(i%2 == 0)
			}
		})
	}
	for i := range 10 {
		require.NoError(t, os.Rename(path, filepath.Join(dir, fmt.Sprint(i))))
		require.NoError(t, a.Reopen())
	}
	wg.Wait()
	finish(t, a)
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	total := 0
	for _, f := range files {
		total += len(read(t, f))
	}
	require.Equal(t, 2000, total)
	require.Zero(t, a.Missing())
}

func FuzzLine(f *testing.F) {
	f.Add("a\nb", "x\x00", "\xff")
	f.Fuzz(func(t *testing.T, one, two, three string) {
		e := full()
		e.Claimed, e.Principal.Name, e.Destination.Name = one, two, three
		e.Principal.Groups = []string{one, two, three}
		var out bytes.Buffer
		require.NoError(t, slog.NewJSONHandler(&out, nil).Handle(t.Context(), *line(new(fields), noon(), e)))
		require.Equal(t, 1, bytes.Count(out.Bytes(), []byte("\n")))
		require.True(t, json.Valid(out.Bytes()))
	})
}

func BenchmarkRecord(b *testing.B) {
	a, err := Open(Config{Path: filepath.Join(b.TempDir(), "audit.log"), Log: slog.New(slog.DiscardHandler), Queue: 64 << 20})
	require.NoError(b, err)
	e := full()
	b.ReportAllocs()
	for b.Loop() {
		a.Record(e)
	}
	require.NoError(b, a.Close(b.Context()))
	b.ReportMetric(float64(a.Missing())/float64(b.N), "missing/op")
}
