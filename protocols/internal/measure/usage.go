// Package measure has what measurements of our doors share: what a run cost, and how long things took.
package measure

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

// Meter measures from Begin to End. It reads Linux's /proc, and is for one goroutine at a time.
type Meter struct {
	server  string
	started time.Time
	usage   Usage
}

// this is our own process.
const this = "self"

// NewMeter measures a server on this machine, too, if its process is not 0.
func NewMeter(serverPID int) *Meter { return &Meter{server: process(serverPID)} }

func process(pid int) string {
	if pid <= 0 {
		return ""
	}
	return strconv.Itoa(pid)
}

// Begin begins anew.
func (m *Meter) Begin() {
	m.started = time.Now()
	m.usage = Usage{ClientCPU: -processorTime(this), ServerCPU: -processorTime(m.server), Flushes: -flushes()}
}

// End ends the run.
func (m *Meter) End() {
	m.usage.Elapsed = time.Since(m.started)
	m.usage.ClientCPU += processorTime(this)
	m.usage.ServerCPU += processorTime(m.server)
	m.usage.Flushes += flushes()
	m.usage.ServerMemory = statusKiB(m.server, "VmHWM:") << 10
}

// Usage is what it cost from Begin to End.
func (m *Meter) Usage() Usage { return m.usage }

// ResidentMemory is how many bytes a process has in memory now, 0 if that is not known.
func ResidentMemory(pid int) int64 { return statusKiB(process(pid), "VmRSS:") << 10 }

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
