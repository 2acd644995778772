package commit

import (
	"errors"
	"syscall"
	"time"
)

// openAgain is how long to wait before a file is opened again for which there was no descriptor.
const openAgain = 10 * time.Millisecond

// patiently opens something, and waits as long as the process or the machine has no descriptor left: clients take them, and give them back. Nothing is
// lost meanwhile, since nothing was asked of the disk yet: receipts wait. It gives up when the committer is to stop.
func (c *Committer) patiently(open func() error) error {
	for told := false; ; {
		err := open()
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return err
		}
		if !told {
			told = true
			c.cfg.Logger.Error("there is no file descriptor left: nothing is committed until there is", "error", err)
		}
		select {
		case <-c.stop:
			return err
		case <-time.After(openAgain):
		}
	}
}
