package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// manifest is the file that makes a directory a store of ours: it says what must be there.
type manifest struct {
	Format int    `json:"format"`
	Node   string `json:"node"`
	Shards int    `json:"shards"`
	// Clustered: the journals are kept together with other nodes.
	Clustered bool `json:"clustered,omitempty"`
	// Registry: there is a stream of facts as well.
	Registry bool      `json:"registry,omitempty"`
	Created  time.Time `json:"created"`
}

const manifestFile = "sluice.json"

// readManifest returns nil if the directory holds no store yet.
func readManifest(dir string) (*manifest, error) {
	b, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the store's manifest: %w", err)
	}
	m := &manifest{}
	if err := json.Unmarshal(b, m); err != nil || m.Shards < 1 || m.Shards > MaxShards {
		return nil, &DamageError{Stream: manifestFile, What: "the manifest cannot be read"}
	}
	if m.Format != 1 {
		return nil, fmt.Errorf("the store in %s has format %d; this build knows format 1", dir, m.Format)
	}
	return m, nil
}

func (m *manifest) write(dir string) error {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return ReplaceFile(filepath.Join(dir, manifestFile), append(b, '\n'))
}

// ReplaceFile puts content in place of path's so that a power cut leaves the old
// or the new one: the data is on disk before the rename, and the rename before the return.
func ReplaceFile(path string, content []byte) error {
	tmp, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = tmp.Write(content)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := syncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
