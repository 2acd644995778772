package app

import (
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// usage returns a function that says what part of one processor the process has taken since now, and what part of the memory it takes, in hundredths. What
// the system does not tell is 0.
func usage() func() (cpu, memory float64) {
	began, used := time.Now(), processorTime()
	return func() (cpu, memory float64) {
		if span := time.Since(began); span > 0 {
			cpu = 100 * float64(processorTime()-used) / float64(span)
		}
		return hundredths(cpu), hundredths(residentPart())
	}
}

func hundredths(f float64) float64 { return float64(int64(f*100+0.5)) / 100 }

// processorTime is what the process has taken of processors.
func processorTime() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// residentPart is what part of the machine's memory the process takes.
func residentPart() float64 {
	var machine unix.Sysinfo_t
	text, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 || unix.Sysinfo(&machine) != nil {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	total := uint64(machine.Totalram) * uint64(machine.Unit)
	if err != nil || total == 0 {
		return 0
	}
	return 100 * float64(pages*uint64(os.Getpagesize())) / float64(total)
}
