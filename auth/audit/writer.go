package audit

import (
	"context"
	"log/slog"
	"os"
	"time"
)

// write is the goroutine that writes what waits, until the Auditor is closed.
func (a *Auditor) write() {
	defer close(a.done)
	var out output
	handler := a.cfg.Log.Handler()
	if a.cfg.Path != "" {
		handler = slog.NewJSONHandler(&out.lines, &slog.HandlerOptions{ReplaceAttr: alone})
	}
	failing := false
	for {
		<-a.wake
		if a.cfg.Path != "" {
			a.gather()
		}
		records, file, closed := a.take()
		if file != nil {
			out.use(file)
		}
		var lost int
		var err error
		for _, r := range records {
			if a.cfg.Path == "" && !handler.Enabled(context.Background(), r.Level) {
				continue
			}
			if wrong := handler.Handle(context.Background(), *r); wrong != nil {
				lost, err = lost+1, wrong
			}
			if out.lines.Len() >= chunk {
				lost, err = a.flush(&out, lost, err)
			}
		}
		lost, err = a.flush(&out, lost, err)
		failing = a.report(lost, err, len(records), failing)
		if closed {
			if out.file != nil {
				_ = out.file.Close() // the last flush said what is wrong
			}
			return
		}
	}
}

// alone leaves out what says nothing in a file of audit lines.
func alone(groups []string, at slog.Attr) slog.Attr {
	if len(groups) == 0 && (at.Key == slog.LevelKey || at.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return at
}

// gather waits for company for the first line.
func (a *Auditor) gather() {
	timer := time.NewTimer(a.cfg.Flush)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.rush:
	}
}

// take returns what there is to write, a new file if there is one, and whether that is all there will ever be.
func (a *Auditor) take() (records []*slog.Record, file *os.File, closed bool) {
	a.mu.Lock()
	records, file, closed = a.waiting, a.next, a.closed
	full := a.full
	a.waiting, a.next, a.size, a.full = nil, nil, 0, false
	a.mu.Unlock()
	if full {
		a.cfg.Log.Warn("the audit has room again", "missing_since_start", a.Missing())
	}
	return records, file, closed
}

// flush writes to the file and adds up what is lost.
func (a *Auditor) flush(out *output, lost int, err error) (int, error) {
	n, wrong := out.flush()
	if wrong != nil {
		err = wrong
	}
	return lost + n, err
}

// report counts what is lost and says it once, and once when it is over. failing tells what was said last.
func (a *Auditor) report(lost int, err error, written int, failing bool) bool {
	a.lost.Add(uint64(lost))
	switch {
	case err != nil && !failing:
		a.cfg.Log.Error("events are missing in the audit: they cannot be written", "missing", lost, "error", err)
		return true
	case err == nil && failing && written > 0:
		a.cfg.Log.Warn("the audit can be written again", "missing_since_start", a.Missing())
		return false
	}
	return failing
}
