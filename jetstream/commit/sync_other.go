//go:build !linux

package commit

import "os"

// OS syncs with the operating system's calls. It is stateless.
type OS struct{}

// Data syncs the file.
func (OS) Data(f *os.File) error { return f.Sync() }

// Dir syncs the directory.
func (OS) Dir(d *os.File) error { return d.Sync() }

// All syncs every file and directory under root.
func (OS) All(root *os.File) error { return syncTree(root.Name()) }

// wholeSyncReportsErrors is false: there is no such call, and walking the tree is dearer than the few dirty files.
func wholeSyncReportsErrors() bool { return false }

// evict does nothing where there is no such call.
func evict(*os.File) {}
