package java

import (
	"strings"
	"testing"

	"artesian/internal/compute/sandbox"
	"artesian/internal/faas"
)

func TestFlags(t *testing.T) {
	for _, c := range []struct {
		major         int
		options, want string
	}{
		{17, "", "-XX:MaxHeapSize=445644k -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Djava.net.preferIPv4Stack=true"},
		{17, "-XX:+UseParallelGC -Xmx100m -XX:-TieredCompilation", "-Xshare:auto -Djava.net.preferIPv4Stack=true"},
		{25, "-XX:MaxRAMPercentage=50 -Xshare:off -XX:+UseZGC -Xint -Djava.net.preferIPv6Addresses=true", "--enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow"},
	} {
		if got := strings.Join(flags(512, c.major, c.options), " "); got != c.want {
			t.Errorf("%d %q: %s", c.major, c.options, got)
		}
	}
}

func TestServed(t *testing.T) {
	for id, want := range map[string]string{"java8.al2": "java 8.0.392 (/j)", "java11": "java 8.0.392 (/j) in place of java11"} {
		if got := New(id, JVM{Version: "8.0.392", Major: 8, Path: "/j"}, "").Served(); got != want {
			t.Errorf("%s: %s", id, got)
		}
	}
}

// TestWithoutItsClient starts nothing that can't run.
func TestWithoutItsClient(t *testing.T) {
	spec := sandbox.Spec{ID: "x"}
	New("java17", JVM{Exec: "/var/lang/bin/java"}, "").Prepare(&spec, faas.Version{Handler: "a.B"}, "/code", "stream")
	if len(spec.Argv) != 1 || len(spec.Listen) != 1 {
		t.Errorf("%v %v", spec.Argv, spec.Listen)
	}
}
