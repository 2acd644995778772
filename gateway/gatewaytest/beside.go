package gatewaytest

import (
	"flag"
	"runtime"
	"strconv"
)

// Beside has so many of a package's parallel tests run at once, unless somebody has said another number: they wait for elections, disks and timers, and compute little.
// TestMain calls it.
func Beside(n int) {
	flag.Parse()
	if at := flag.Lookup("test.parallel"); at.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = at.Value.Set(strconv.Itoa(max(n, runtime.GOMAXPROCS(0))))
	}
}
