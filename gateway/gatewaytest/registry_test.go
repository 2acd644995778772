package gatewaytest_test

import (
	"testing"

	"github.com/sluice-mq/sluice/gateway"
	"github.com/sluice-mq/sluice/gateway/gatewaytest"
)

func TestRegistryInMemoryKeepsTheContract(t *testing.T) {
	disks := map[string]*gatewaytest.Disk{}
	gatewaytest.RegistryContract(t, func(_ *testing.T, dir string) (gateway.Registry, func()) {
		if disks[dir] == nil {
			disks[dir] = gatewaytest.NewDisk(1)
		}
		return disks[dir].Registry(), func() {}
	})
}
