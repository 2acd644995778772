//go:build linux

package powercut

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Image is a file system in a file. It needs root and loop devices.
type Image struct {
	FS    string // ext4, xfs, btrfs
	File  string
	Mount string // where it is mounted

	whole  bool // on a Device, not on the loop device that mount chooses
	device *Device
}

// imageSize is enough for the least XFS makes.
const imageSize = 320 << 20

// NewImage makes a file system of a kind in dir. The file is sparse.
func NewImage(kind, dir string) (*Image, error) {
	return newImage(&Image{FS: kind}, dir)
}

// NewWholeImage makes one on a Device: its file may lie where there is no room for all of it.
func NewWholeImage(kind, dir string) (*Image, error) {
	return newImage(&Image{FS: kind, whole: true}, dir, sectorOptions[kind]...)
}

// sectorOptions make a file system whose requests are made of whole sectors of a Device.
var sectorOptions = map[string][]string{"ext4": {"-b", "4096"}, "xfs": {"-s", "size=4096"}, "btrfs": {"-s", "4096"}}

func newImage(i *Image, dir string, options ...string) (*Image, error) {
	i.File, i.Mount = filepath.Join(dir, "disk."+i.FS), filepath.Join(dir, "mnt")
	f, err := os.Create(i.File)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(imageSize), f.Close(), os.MkdirAll(i.Mount, 0o755)); err != nil {
		return nil, err
	}
	return i, run("mkfs."+i.FS, append(options, "-q", i.File)...)
}

// Attach mounts it. After a cut this is where the file system repairs itself from its journal.
func (i *Image) Attach() error {
	if i.whole {
		return i.attachDevice()
	}
	return run("mount", "-o", "loop", "-t", i.FS, i.File, i.Mount)
}

func (i *Image) attachDevice() error {
	device, err := OpenDevice(i.File)
	if err != nil {
		return err
	}
	if err := run("mount", "-t", i.FS, device.Path, i.Mount); err != nil {
		return errors.Join(err, device.Close())
	}
	i.device = device
	return nil
}

// Detach unmounts it, as soon as nobody uses it. It does nothing when it is not mounted.
func (i *Image) Detach() error {
	if err := i.unmount(); err != nil || i.device == nil {
		return err
	}
	device := i.device
	i.device = nil
	return device.Close()
}

func (i *Image) unmount() error {
	deadline := time.Now().Add(patience)
	for {
		if run("mountpoint", "-q", i.Mount) != nil {
			return nil
		}
		err := run("umount", i.Mount)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// Copy takes the device as it is, while all who write to it are frozen. What is only in the kernel's memory stays behind,
// as in a power cut. The kernel may write by itself meanwhile; then the copy is made again, so that it shows one moment.
func (i *Image) Copy(dir string) (*Image, error) {
	c := &Image{FS: i.FS, File: filepath.Join(dir, filepath.Base(i.File)), Mount: filepath.Join(dir, "mnt"), whole: i.whole}
	if err := os.MkdirAll(c.Mount, 0o755); err != nil {
		return nil, err
	}
	for range 1000 {
		before, err := i.writes()
		if err != nil {
			return nil, err
		}
		if err := run("cp", "--sparse=always", i.File, c.File); err != nil {
			return nil, err
		}
		after, err := i.writes()
		if err != nil {
			return nil, err
		}
		if before == after {
			return c, nil
		}
	}
	return nil, errors.New("the device is never quiet")
}

// writes is the device's counters of writes done and requests in flight.
func (i *Image) writes() (string, error) {
	out, err := exec.Command("losetup", "-n", "-O", "NAME", "-j", i.File).Output()
	if err != nil {
		return "", fmt.Errorf("find loop device: %w", err)
	}
	name := filepath.Base(strings.TrimSpace(string(out)))
	text, err := os.ReadFile("/sys/block/" + name + "/stat")
	if err != nil {
		return "", err
	}
	f := strings.Fields(string(text))
	if len(f) < 9 {
		return "", fmt.Errorf("unknown form of device counters: %q", text)
	}
	return strings.Join([]string{f[4], f[6], f[8]}, " "), nil
}

// Remove deletes the file.
func (i *Image) Remove() error { return os.Remove(i.File) }

func run(name string, args ...string) error {
	_, err := output(name, args...)
	return err
}

func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, text)
	}
	return text, nil
}
