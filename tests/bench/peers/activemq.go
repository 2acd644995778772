package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/sluice-mq/sluice/protocols/stomp/bench"
)

// activemqConfig is what upstream ships, as far as it concerns speed: KahaDB, which syncs
// its journal by default, and the stock STOMP connector, with tcpNoDelay for latency.
const activemqConfig = `<beans xmlns="http://www.springframework.org/schema/beans"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans.xsd
  http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="bench" useJmx="false" dataDirectory="%[1]s/data" useShutdownHook="true">
    <persistenceAdapter><kahaDB directory="%[1]s/data/kahadb" enableJournalDiskSyncs="true"/></persistenceAdapter>
    <systemUsage><systemUsage>
      <memoryUsage><memoryUsage percentOfJvmHeap="70"/></memoryUsage>
      <storeUsage><storeUsage limit="20 gb"/></storeUsage>
      <tempUsage><tempUsage limit="10 gb"/></tempUsage>
    </systemUsage></systemUsage>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://127.0.0.1:%[2]d?maximumConnections=20000&amp;transport.tcpNoDelay=true"/>
    </transportConnectors>
  </broker>
</beans>
`

const activemqLog = `log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c %m%n
`

func newActiveMQ(s settings) (*broker, error) {
	version, err := debianVersion("activemq")
	if err != nil {
		return nil, err
	}
	return &broker{
		name: "ActiveMQ", version: version, dir: filepath.Join(s.dir, "activemq"), dialect: bench.Dialects()["activemq"],
		settings: "KahaDB with enableJournalDiskSyncs (its default), stomp connector with transport.tcpNoDelay, heap 64 MiB to 1 GiB (upstream's start script)",
		prepare:  startActiveMQ,
	}, nil
}

func startActiveMQ(dir string, stomp int) (*exec.Cmd, error) {
	conf := filepath.Join(dir, "conf")
	tmp := filepath.Join(dir, "tmp")
	for _, d := range []string{conf, tmp, filepath.Join(dir, "data")} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			return nil, err
		}
	}
	for name, text := range map[string]string{"activemq.xml": fmt.Sprintf(activemqConfig, dir, stomp), "log4j.properties": activemqLog} {
		if err := os.WriteFile(filepath.Join(conf, name), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	classes := []string{conf}
	for _, pattern := range []string{"/usr/share/activemq/lib/*.jar", "/usr/share/activemq/lib/optional/*.jar", "/usr/share/java/commons-logging.jar"} {
		jars, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		classes = append(classes, jars...)
	}
	return exec.Command("java", "-Xms64M", "-Xmx1G", "-Djava.net.preferIPv4Stack=true",
		"-Dactivemq.home=/usr/share/activemq", "-Dactivemq.base="+dir, "-Dactivemq.conf="+conf, "-Dactivemq.data="+filepath.Join(dir, "data"),
		"-Djava.io.tmpdir="+tmp, "-Dlog4j.configuration=file:"+filepath.Join(conf, "log4j.properties"), "-Djava.util.logging.config.file=/dev/null",
		"--add-opens", "java.base/java.lang=ALL-UNNAMED", "--add-opens", "java.base/java.util=ALL-UNNAMED",
		"-cp", strings.Join(classes, ":"), "org.apache.activemq.console.Main", "start", "xbean:file:"+filepath.Join(conf, "activemq.xml")), nil
}
