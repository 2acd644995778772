package stomp

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The page that operators read must name every row, and only tests that exist.
func TestCompatibilityPageIsTrue(t *testing.T) {
	page, err := os.ReadFile("../../docs/compatibility.md")
	require.NoError(t, err)
	var code strings.Builder
	for _, rooms := range [...]string{"*_test.go", "../*/*_test.go", "../*/*/*_test.go", "../../gateway/*/*_test.go", "../../cmd/sluice/app/*_test.go", "../../auth/*/*_test.go", "../../jetstream/*_test.go", "../../tests/*/*_test.go"} {
		files, err := filepath.Glob(rooms)
		require.NoError(t, err)
		require.NotEmpty(t, files, rooms)
		for _, f := range files {
			b, err := os.ReadFile(f)
			require.NoError(t, err)
			code.Write(b)
		}
	}
	for _, name := range regexp.MustCompile(`Test[A-Z]\w*`).FindAllString(string(page), -1) {
		require.True(t, strings.Contains(code.String(), "func "+name+"(t "), "the page names a test %s that there is not", name)
	}
	rows := map[string]bool{}
	for _, line := range regexp.MustCompile(`(?m)^\| ([\d, ]+) \|`).FindAllStringSubmatch(string(page), -1) {
		for row := range strings.SplitSeq(line[1], ",") {
			require.False(t, rows[strings.TrimSpace(row)], "row %s is there twice", row)
			rows[strings.TrimSpace(row)] = true
		}
	}
	for i := 1; i <= 139; i++ {
		require.True(t, rows[strconv.Itoa(i)], "row %d is missing", i)
	}
}
