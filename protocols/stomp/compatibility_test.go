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
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		require.NoError(t, err)
		code.Write(b)
	}
	for _, name := range regexp.MustCompile(`Test[A-Z]\w*`).FindAllString(string(page), -1) {
		require.Contains(t, code.String(), "func "+name+"(t ", "a test that the page names")
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
