package gatewaytest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

func TestLogsKeepTheContract(t *testing.T) {
	logs := map[string]*gatewaytest.Logs{}
	disks := map[string]*gatewaytest.Disk{}
	gatewaytest.LogsContract(t, func(t *testing.T, dir string) (gateway.Logs, gateway.Registry, func()) {
		if logs[dir] == nil {
			disks[dir] = gatewaytest.NewDisk(1)
			l, err := gatewaytest.NewLogs(t.Context(), disks[dir].Registry(), func() int64 { return time.Now().UnixMilli() })
			require.NoError(t, err)
			logs[dir] = l
		}
		return logs[dir], disks[dir].Registry(), func() {}
	})
}
