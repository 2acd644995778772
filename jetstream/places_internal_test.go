package jetstream

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// A byte of the record that slips into its subject, or the other way round, is seen.
func TestASubjectIsOneOfTheLog(t *testing.T) {
	l := &topicLog{subject: "l.one"}
	for _, subject := range []string{"l.one", l.copySubject("a.b")} {
		require.True(t, l.has([]byte(subject)), subject)
		for _, first := range []byte{plainVersion, recordVersion, bundleVersion, slotVersion} {
			require.False(t, l.has(append([]byte(subject), first)), "%q %d", subject, first)
		}
	}
	for _, subject := range []string{"", "l.on", "l.one.", "l.one.r", "l.other"} {
		require.False(t, l.has([]byte(subject)), subject)
	}
}
