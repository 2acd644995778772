package jetstream

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// asideFolder, in the data directory of a node that has joined a cluster, has the store that it had alone, until the
// cluster has taken what is in it.
const asideFolder = "single"

// Aside is where that store is: a data directory of its own.
func Aside(dir string) string { return filepath.Join(dir, asideFolder) }

// Prepare looks whether a data directory fits a node that is alone, or in a cluster, before a server touches it. What a node kept
// alone it puts aside when the node joins a cluster, since the server would take it for something that the cluster has deleted; it
// reports whether there is something aside. A cluster's store cannot be served alone.
func Prepare(dir string, clustered bool) (aside bool, err error) {
	m, err := readManifest(dir)
	if err != nil {
		return false, err
	}
	switch {
	case m != nil && m.Clustered && !clustered:
		return false, fmt.Errorf("the data directory %s belongs to a node of a cluster, and there is no cluster section in the configuration; "+
			"to go on with one node, restore a backup of the cluster into an empty directory", dir)
	case m != nil && !m.Clustered && clustered:
		if err := putAside(dir); err != nil {
			return false, fmt.Errorf("putting aside what the node kept alone: %w", err)
		}
	}
	_, err = os.Stat(filepath.Join(Aside(dir), manifestFile))
	if err == nil && !clustered && m != nil {
		return false, fmt.Errorf("the data directory %s holds two stores: its own, and one that was put aside in %s", dir, Aside(dir))
	}
	if err == nil && !clustered { // it was put aside for a cluster that never was
		if err := takeBack(dir); err != nil {
			return false, fmt.Errorf("taking back what was put aside for a cluster: %w", err)
		}
		return false, nil
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// putAside moves a store's parts, its manifest at last: until then the next start goes on with it.
func putAside(dir string) error {
	if err := os.MkdirAll(Aside(dir), 0o700); err != nil {
		return err
	}
	for _, part := range []string{"jetstream", marksFile, manifestFile} {
		err := os.Rename(filepath.Join(dir, part), filepath.Join(Aside(dir), part))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := errors.Join(syncDir(Aside(dir)), syncDir(dir)); err != nil {
			return err
		}
	}
	return nil
}

// takeBack moves the parts back, the manifest at last. What a server has begun in their place is empty: there is no manifest.
func takeBack(dir string) error {
	if _, err := os.Stat(filepath.Join(Aside(dir), "jetstream")); err == nil {
		if err := os.RemoveAll(filepath.Join(dir, "jetstream")); err != nil {
			return err
		}
	}
	for _, part := range []string{"jetstream", marksFile, manifestFile} {
		err := os.Rename(filepath.Join(Aside(dir), part), filepath.Join(dir, part))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := errors.Join(syncDir(Aside(dir)), syncDir(dir)); err != nil {
			return err
		}
	}
	return os.RemoveAll(Aside(dir))
}

// Adopted removes what was put aside.
func Adopted(dir string) error {
	done := Aside(dir) + ".adopted"
	if err := errors.Join(os.RemoveAll(done), os.Rename(Aside(dir), done), syncDir(dir)); err != nil {
		return fmt.Errorf("removing what was put aside: %w", err)
	}
	return os.RemoveAll(done)
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
