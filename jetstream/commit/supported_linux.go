package commit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Supported says on which file system root lies and whether the promises this package needs of it are known to hold:
// ext2/3/4, XFS and btrfs with their defaults. On any other the caller should let the server sync every record itself, and
// say so. The name is for people and may carry a reason. It fails when root cannot be examined.
func Supported(root string) (fsName string, proven bool, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(root, &s); err != nil {
		return "", false, fmt.Errorf("commit: examine file system of %s: %w", root, err)
	}
	name, proven := fileSystem(uint32(s.Type))
	if !proven {
		return name, false, nil
	}
	path, err := filepath.Abs(root)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", false, fmt.Errorf("commit: examine file system of %s: %w", root, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return name + " (its mount options cannot be read)", false, nil
	}
	if option := unsafeOption(string(mounts), path); option != "" {
		return name + " (mounted with " + option + ": a sync does not reach the disk)", false, nil
	}
	return name, true, nil
}

// unsafeOption finds the mount that path lies on, in the form of /proc/self/mountinfo, and returns its first option that
// makes syncs stop at the drive's cache.
func unsafeOption(mountinfo, path string) string {
	longest, option := 0, ""
	for line := range strings.Lines(mountinfo) {
		f := strings.Fields(line)
		if len(f) < 7 {
			continue
		}
		point := unescape(f[4])
		if path != point && !strings.HasPrefix(path, strings.TrimSuffix(point, "/")+"/") || len(point) < longest {
			continue
		}
		longest, option = len(point), "" // of equal ones the later covers the earlier
		for _, o := range strings.Split(f[5]+","+f[len(f)-1], ",") {
			if o == "nobarrier" || o == "barrier=0" {
				option = o
			}
		}
	}
	return option
}

// unescape undoes the octal escapes of mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

func fileSystem(magic uint32) (string, bool) {
	switch magic {
	case unix.EXT4_SUPER_MAGIC:
		return "ext2/3/4", true
	case unix.XFS_SUPER_MAGIC:
		return "xfs", true
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs", true
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return "tmpfs (memory: nothing in it survives a power cut)", false
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlayfs (what lies below is unknown: mount a volume for the store)", false
	case unix.NFS_SUPER_MAGIC:
		return "nfs", false
	case unix.FUSE_SUPER_MAGIC:
		return "fuse", false
	case 0x2fc12fc1:
		return "zfs", false
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs", false
	case unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return "smb", false
	}
	return fmt.Sprintf("unknown file system (magic %#x)", magic), false
}
