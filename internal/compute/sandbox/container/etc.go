package container

import (
	"strconv"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
)

// etcFiles is what C libraries and language runtimes look for. The files are the same in every sandbox.
var etcFiles = [...]struct{ path, text string }{
	{"/etc/passwd", "root:x:0:0:root:/:/sbin/nologin\n" + insideUser + ":x:993:990::" + insideHome + ":/sbin/nologin\n"},
	{"/etc/group", "root:x:0:\n" + insideUser + ":x:990:\n"},
	{"/etc/hosts", "127.0.0.1 localhost localhost.localdomain " + hostName + " " + hostName + ".localdomain " + hostName + ".local\n::1 localhost ip6-localhost\n"},
	{"/etc/hostname", hostName + "\n"},
	{"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
	{"/etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:5 attempts:2\n"},
}

// limit is one resource limit of the main process, soft and hard alike.
type limit struct {
	name     string
	resource int
	max      uint64
}

// coreLimit is 1: 0 would still feed a core to the host's handler, core(5).
var coreLimit = limit{"core size", unix.RLIMIT_CORE, 1}

func limits(s sandbox.Spec, l layout) []limit {
	all := []limit{
		{"open files", unix.RLIMIT_NOFILE, uint64(s.Files)},
		coreLimit,
		{"locked memory", unix.RLIMIT_MEMLOCK, 64 << 10},
		{"pending signals", unix.RLIMIT_SIGPENDING, 4096},
		{"message queues", unix.RLIMIT_MSGQUEUE, 0},
		{"nice", unix.RLIMIT_NICE, 0},
		{"real-time priority", unix.RLIMIT_RTPRIO, 0},
	}
	if l.hosts {
		all = hostLimits()
	}
	if l.pids > 0 {
		all = append(all, limit{"processes", unix.RLIMIT_NPROC, uint64(l.pids)})
	}
	for i := range all {
		if most, ok := l.hard[all[i].resource]; ok {
			all[i].max = min(all[i].max, most)
		}
	}
	return all
}

// hards are the hard limits that whoever is not root may only lower, by resource.
type hards map[int]uint64

func readHards() (hards, error) {
	h := hards{}
	for _, resource := range []int{unix.RLIMIT_NOFILE, unix.RLIMIT_CORE, unix.RLIMIT_MEMLOCK, unix.RLIMIT_SIGPENDING, unix.RLIMIT_NPROC} {
		var r unix.Rlimit
		if err := unix.Getrlimit(resource, &r); err != nil {
			return nil, err
		}
		h[resource] = r.Max
	}
	return h, nil
}

// idMap is the text of uid_map or gid_map: root inside, for set-up only, and the function's own id.
func idMap(l layout, inside int) string {
	host := l.hostUID
	if l.lone {
		return itoa(inside) + " " + itoa(host) + " 1\n"
	}
	return "0 " + itoa(host) + " 1\n" + itoa(inside) + " " + itoa(host+1) + " 1\n"
}

func itoa(i int) string { return strconv.Itoa(i) }
