package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
	"github.com/sluice-mq/sluice/tests/ports"
)

const rabbitmqConfig = `stomp.listeners.tcp.1 = 127.0.0.1:%d
loopback_users.guest = true
log.console = false
log.file.level = warning
disk_free_limit.absolute = 2GB
vm_memory_high_watermark.relative = 0.4
`

func newRabbitMQ(s settings) (*broker, error) {
	version, err := debianVersion("rabbitmq-server")
	if err != nil {
		return nil, err
	}
	return &broker{
		name: "RabbitMQ", version: version, dir: filepath.Join(s.dir, "rabbitmq"), dialect: bench.Dialects()["rabbitmq"], login: "guest", passcode: "guest",
		settings: "defaults: classic queues, durable; rabbitmq_stomp",
		prepare:  startRabbitMQ,
		pid: func(dir string) int {
			text, _ := os.ReadFile(filepath.Join(dir, "pid"))
			n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
			return n
		},
		cleanUp: func(dir string) { // its port mapper stays otherwise
			if port, err := os.ReadFile(filepath.Join(dir, "epmd")); err == nil {
				_ = exec.Command("epmd", "-port", string(port), "-kill").Run()
			}
		},
	}, nil
}

// startRabbitMQ runs a node with ports and files of its own, whatever the package's service does.
func startRabbitMQ(dir string, stomp int) (*exec.Cmd, error) {
	taken, err := ports.Keep(3)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"home", "log", "mnesia"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	for name, text := range map[string]string{
		"enabled_plugins": "[rabbitmq_stomp].\n", "rabbitmq.conf": fmt.Sprintf(rabbitmqConfig, stomp), "epmd": fmt.Sprint(taken[2]),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command("/usr/lib/rabbitmq/bin/rabbitmq-server")
	cmd.Env = append(os.Environ(),
		"HOME="+filepath.Join(dir, "home"), "RABBITMQ_NODENAME=bench@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODE_PORT=%d", taken[0]), fmt.Sprintf("RABBITMQ_DIST_PORT=%d", taken[1]),
		fmt.Sprintf("ERL_EPMD_PORT=%d", taken[2]), "ERL_EPMD_ADDRESS=127.0.0.1", "RABBITMQ_CONF_ENV_FILE=/dev/null",
		"RABBITMQ_MNESIA_BASE="+filepath.Join(dir, "mnesia"), "RABBITMQ_LOG_BASE="+filepath.Join(dir, "log"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(dir, "enabled_plugins"), "RABBITMQ_CONFIG_FILE="+filepath.Join(dir, "rabbitmq.conf"),
		"RABBITMQ_PID_FILE="+filepath.Join(dir, "pid"), "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}")
	return cmd, nil
}
