package repocheck

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFaults checks that each row of FAULTS.md names tests, and that they exist.
func TestFaults(t *testing.T) {
	known := allTests(t)
	columns := map[string]int{"| F-": 3, "| `": 2} // a fault, a change to the code
	rows := map[string]int{}
	for _, line := range lines(t, "FAULTS.md") {
		for start, want := range columns {
			if !strings.HasPrefix(line, start) {
				continue
			}
			rows[start]++
			cells := strings.Split(strings.Trim(line, "| "), "|")
			require.Len(t, cells, want, line)
			tests := strings.TrimSpace(strings.ReplaceAll(cells[want-1], "`", ""))
			assert.NotEmpty(t, tests, line)
			checkTests(t, known, tests, "FAULTS.md")
		}
	}
	assert.Equal(t, map[string]int{"| F-": 68, "| `": 13}, rows, "a row leaves the list with the code that it is about, not before")
}
