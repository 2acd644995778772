package node

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Change is one replacement in a source of the product, "jetstream/fence.go" or such, or in one with an absolute path. Without Old it is
// a source that there is not.
type Change struct{ File, Old, New string }

// Mutant builds a sluice with changed sources, which stay as they are, and returns its path. It is how a test of faults
// proves that it would see one.
func Mutant(t testing.TB, changes ...Change) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").CombinedOutput()
	if err != nil {
		t.Fatalf("looking for the sources: %v\n%s", err, out)
	}
	root, dir := strings.TrimSpace(string(out)), t.TempDir()
	replace := map[string]string{}
	for i, c := range changes {
		from := c.File
		if !filepath.IsAbs(from) {
			from = filepath.Join(root, from)
		}
		source := from
		if changed := replace[from]; changed != "" {
			source = changed
		}
		text, err := os.ReadFile(source)
		if c.Old == "" && os.IsNotExist(err) {
			text, err = nil, nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.Old != "" && strings.Count(string(text), c.Old) != 1 {
			t.Fatalf("%s does not have this once: %q", c.File, c.Old)
		}
		to := filepath.Join(dir, string(rune('a'+i))+".go")
		if err := os.WriteFile(to, []byte(strings.Replace(string(text), c.Old, c.New, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[from] = to
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file, path := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "sluice")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-overlay", file, "-o", path, "github.com/sluice-mq/sluice/cmd/sluice").CombinedOutput(); err != nil {
		t.Fatalf("building a mutant: %v\n%s", err, out)
	}
	return path
}
