package runsc

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"artesian/internal/compute/sandbox/container/stage0"
	"artesian/internal/compute/sandbox/gvisor/wire"
)

// The user inside, and the name of the machine, as at the level container.
const (
	insideUID = 993
	insideGID = 990
	hostName  = "sandbox"
)

// bundle is the OCI specification of a program. What the sandbox around shows as its root, made of read-only mounts, is the
// root inside; file systems that the runtime makes itself, and an empty /run, cover what is not for functions.
func bundle(p wire.Program) *specs.Spec {
	tmp := specs.Mount{Destination: "/tmp", Type: "bind", Source: "/tmp", Options: []string{"rw", "nosuid", "nodev"}}
	if p.TmpMB > 0 {
		tmp = specs.Mount{Destination: "/tmp", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "mode=1777", fmt.Sprintf("size=%dm", p.TmpMB)}}
	}
	s := &specs.Spec{
		Version:  specs.Version,
		Hostname: hostName,
		Root:     &specs.Root{Path: "/", Readonly: true},
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "nodev", "noexec"}},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "noexec", "mode=755", "size=64k"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "tmpfs",
				Options: []string{"nosuid", "nodev", "noexec", "mode=1777", fmt.Sprintf("size=%dm", p.Memory)}},
			{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"ro", "nosuid", "nodev", "noexec", "mode=755", "size=4k"}},
			tmp,
		},
		Process: &specs.Process{
			User: specs.User{UID: insideUID, GID: insideGID},
			Args: p.Argv, Env: p.Env, Cwd: p.Dir,
			NoNewPrivileges: true,
			Capabilities:    &specs.LinuxCapabilities{},
			Rlimits: []specs.POSIXRlimit{
				limit("RLIMIT_NOFILE", p.Files), limit("RLIMIT_NPROC", p.Pids), limit("RLIMIT_CORE", 0), limit("RLIMIT_MEMLOCK", 64<<10)},
		},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
			{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}}},
	}
	if len(p.Beside) > 0 { // a first process that the others cannot signal
		s.Process.User = specs.User{}
		s.Process.Args, s.Process.Env, s.Process.Cwd = []string{stage0.Reaper}, nil, "/"
	}
	return s
}

func limit(name string, value int) specs.POSIXRlimit {
	return specs.POSIXRlimit{Type: name, Soft: uint64(value), Hard: uint64(value)}
}
