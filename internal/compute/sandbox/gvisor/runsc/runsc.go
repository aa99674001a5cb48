// Package runsc is gVisor's runtime as a part of this program: a process of ours becomes it when its arguments say so.
// It needs a program without a dynamic loader, since it executes itself again where there are no files.
package runsc

import (
	"os"

	"gvisor.dev/gvisor/runsc/cli"
	"gvisor.dev/gvisor/runsc/cmd"
	"gvisor.dev/gvisor/runsc/cmd/sentry/sentrycmd"
	"gvisor.dev/gvisor/runsc/cmd/util"
	"gvisor.dev/gvisor/runsc/specutils"
)

// supervise is the last argument of the process that starts the runtime's others and talks to the daemon.
const supervise = "gvisor-supervisor"

// Takeover runs a process of the runtime, and does not return, if this is one.
func Takeover() {
	if !taken(os.Args) {
		return
	}
	cli.Run(nil, map[util.SubCommand]string{
		new(supervisor):       "",
		new(sentrycmd.Boot):   "",
		new(cmd.Gofer):        "",
		new(sentrycmd.Umount): "",
	}, nil)
}

// taken reports whether arguments are those of a process of the runtime. The further ones are named by it.
func taken(args []string) bool {
	switch {
	case len(args) < 2:
		return false
	case args[0] == specutils.ExePath:
		return args[1] == "umount" || args[len(args)-1] == supervise
	default:
		return args[0] == "runsc-sandbox" || args[0] == "runsc-gofer"
	}
}

// Argv is that of a supervisor, executed as program. The platform is the one that needs nothing of the machine.
func Argv(program string) []string {
	return []string{program,
		"--root=" + stateDir, "--platform=systrap", "--network=host", "--ignore-cgroups", "--overlay2=none", "--host-uds=none",
		"--host-settings=ignore", "--file-access-mounts=exclusive", "--gofer-network-namespace=new",
		"--restore-spec-validation=ignore", supervise} // who restores knows what may differ
}
