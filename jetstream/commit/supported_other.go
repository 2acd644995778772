//go:build !linux

package commit

import (
	"fmt"
	"os"
	"runtime"
)

// Supported says on which file system root lies and whether the promises this package needs of it are known to hold, which
// they are on Linux only. It fails when root cannot be examined.
func Supported(root string) (fsName string, proven bool, err error) {
	if _, err := os.Stat(root); err != nil {
		return "", false, fmt.Errorf("commit: examine file system: %w", err)
	}
	return "a file system of " + runtime.GOOS, false, nil
}
