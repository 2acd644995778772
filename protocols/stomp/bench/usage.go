package bench

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// Usage is what a run cost. What the system does not tell is 0.
type Usage struct {
	Elapsed time.Duration `json:"elapsed_ns"`
	// ClientCPU and ServerCPU are processor time, user and system together.
	ClientCPU time.Duration `json:"client_cpu_ns"`
	ServerCPU time.Duration `json:"server_cpu_ns"`
	// ServerMemory is the most memory the server had resident since it started, in bytes.
	ServerMemory int64 `json:"server_memory_peak"`
	// Flushes are those that the disks of the whole machine finished: the kernel's
	// count of what fsync comes down to.
	Flushes int64 `json:"disk_flushes"`
}

// usage measures from begin to end. It reads Linux's /proc.
type usage struct {
	server, client string
	started        time.Time
	usage          Usage
}

func newUsage(serverPID int) *usage {
	u := &usage{client: "self"}
	if serverPID > 0 {
		u.server = strconv.Itoa(serverPID)
	}
	return u
}

func (u *usage) begin() {
	u.started = time.Now()
	u.usage = Usage{ClientCPU: -processorTime(u.client), ServerCPU: -processorTime(u.server), Flushes: -flushes()}
}

func (u *usage) end() {
	u.usage.Elapsed = time.Since(u.started)
	u.usage.ClientCPU += processorTime(u.client)
	u.usage.ServerCPU += processorTime(u.server)
	u.usage.Flushes += flushes()
	u.usage.ServerMemory = peakMemory(u.server)
}

// tick is the unit of /proc/PID/stat on Linux, whatever the kernel's own.
const tick = 10 * time.Millisecond

func processorTime(pid string) time.Duration {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if pid == "" || err != nil {
		return 0
	}
	// The name, in parentheses, may hold blanks.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(string(f[11]), 10, 64)
	system, _ := strconv.ParseInt(string(f[12]), 10, 64)
	return time.Duration(user+system) * tick
}

func peakMemory(pid string) int64 { return statusKiB(pid, "VmHWM:") << 10 }

func residentMemory(pid string) int64 { return statusKiB(pid, "VmRSS:") << 10 }

func statusKiB(pid, name string) int64 {
	b, err := os.ReadFile("/proc/" + pid + "/status")
	if pid == "" || err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) > 1 && string(f[0]) == name {
			kib, _ := strconv.ParseInt(string(f[1]), 10, 64)
			return kib
		}
	}
	return 0
}

// flushes adds up the finished flush requests of all disks.
func flushes() (n int64) {
	b, err := os.ReadFile("/proc/diskstats")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) >= 19 {
			v, _ := strconv.ParseInt(string(f[18]), 10, 64)
			n += v
		}
	}
	return n
}
