package commit

import (
	"fmt"

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
	return name, proven, nil
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
