//go:build linux

package powercut

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// sector is the size in bytes of what a Device takes at a time, and of a page of the file system in memory below it.
const sector = 4096

// Device is a block device over a sparse file that takes each write whole or answers it with an error, also when the
// file system of that file is full. A loop device as such does not: of a write that its file took a part of it says
// that it was done (lo_complete_rq of Linux 6.18 repeats short reads, and takes a short write for a whole one), so that
// what it was given is gone although every sync succeeded. Here no request is larger than the least that can be taken.
type Device struct {
	Path  string // in /dev
	limit string // the file in /sys that bounds its requests, in KiB
	was   string // and what was in it
}

// OpenDevice makes a device over a file. It needs root, and pages of 4 KiB.
func OpenDevice(file string) (*Device, error) {
	if os.Getpagesize() != sector {
		return nil, fmt.Errorf("a device that takes writes whole needs pages of %d bytes, not %d", sector, os.Getpagesize())
	}
	out, err := output("losetup", "--show", "-f", "-b", strconv.Itoa(sector), file)
	if err != nil {
		return nil, err
	}
	d := &Device{Path: out, limit: "/sys/block/" + filepath.Base(out) + "/queue/max_sectors_kb"}
	text, err := os.ReadFile(d.limit)
	if err == nil {
		d.was = strings.TrimSpace(string(text))
		err = os.WriteFile(d.limit, []byte(strconv.Itoa(sector>>10)), 0o644)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// Close lets go of the file, and leaves the loop device to others as it was.
func (d *Device) Close() error {
	var err error
	if d.was != "" {
		err = os.WriteFile(d.limit, []byte(d.was), 0o644)
	}
	return errors.Join(err, run("losetup", "-d", d.Path))
}
