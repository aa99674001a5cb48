package container

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"artesian/internal/compute/sandbox"
	"artesian/internal/compute/sandbox/cgroup"
	"artesian/internal/compute/sandbox/sandboxtest"
	"artesian/internal/faas"
)

// defendedZygote is what differs where the attacker is a zygote, and what only such a one can try. Its capability is in the
// effective, permitted, inheritable, bounding and ambient set.
var defendedZygote = map[string][]string{
	"capabilities": {"Groups= CapInh=0000000000200000 CapPrm=0000000000200000 CapEff=0000000000200000 CapBnd=0000000000200000 CapAmb=0000000000200000 " +
		"NoNewPrivs=1 Seccomp=2"},
	"gain capabilities":              {"done"}, // the one that it has
	"raise an ambient capability":    {"done"},
	"who am i":                       {"uid own own gid group group"},
	"make a set-uid program":         {"uid own own gid group group"},
	"run a set-uid program":          {"uid own own gid group group"},
	"become another user":            {"EPERM"},
	"enter a namespace":              {"EINVAL"}, // descriptor 0 is none
	"see the control group's path":   {"path: its own"},
	"see interfaces":                 {"lo"},
	"connect to the host's loopback": {"ECONNREFUSED", "ENETUNREACH"},
	"connect to the internet":        {"ENETUNREACH"},
	"connect over IPv6":              {"ENETUNREACH", "EADDRNOTAVAIL"},
}

// onlyZygote are the attacks for which one has to be a zygote.
var onlyZygote = map[string]string{
	"signal others":                         "[]",
	"kill all":                              "done",    // what it may, which is nobody
	"find control groups above":             "1 above", // the daemon's own
	"kill all control groups":               "EACCES",
	"kill the victim's control group":       "EACCES",
	"freeze the victim's control group":     "EACCES",
	"enter the victim's control group":      "EACCES",
	"enter a mount namespace":               "EPERM",
	"ask for the namespace above":           "EPERM",
	"ask for the next mount namespace":      "EPERM",
	"open the spawner's memory for writing": "ENOENT",
	"open the spawner's root":               "ENOENT",
}

// TestAttacksByZygote: who has taken a zygote over meets what a function meets, and reaches neither the host nor the spawner, nor
// other zygotes and sandboxes.
func TestAttacksByZygote(t *testing.T) {
	m := open(t, 1<<30)
	if !m.standing.root {
		t.Skip("without root zygotes have no user of their own")
	}
	neighbour := stems(t, m, forked(t))
	met, who := attackAsZygote(t, m)
	for name, want := range defended {
		if w := defendedZygote[name]; w != nil {
			want = w
		}
		got, made := met[name]
		got = strings.NewReplacer(itoa(who.uid), "own", itoa(who.gid), "group").Replace(got)
		if strings.HasPrefix(got, "path: ") && strings.Contains(got, "/zygote-") {
			got = "path: its own"
		}
		if delete(met, name); name == "clone3 into a user namespace" && !made {
			continue
		}
		if !slices.Contains(want, got) {
			t.Errorf("%s: met %q, want one of %q", name, got, want)
		}
	}
	for name, want := range onlyZygote {
		if got := met[name]; got != want {
			t.Errorf("%s: met %q, want %q", name, got, want)
		}
		delete(met, name)
	}
	if len(met) > 0 {
		t.Errorf("attacks without an expected outcome: %v", met)
	}
	c, err := m.Prepare(t.Context(), sandbox.Spec{ID: "after", Fork: neighbour, Channel: true, Dir: "/", MemoryMB: 64, TmpMB: 512, Pids: 16, Files: 64})
	if err != nil {
		t.Fatal("another zygote after it: ", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	m.mu.Lock()
	victim := m.live["victim"]
	m.mu.Unlock()
	if victim == nil || victim.Exit() != (sandbox.Exit{}) || victim.Signal(0) != nil {
		t.Error("a sandbox has ended")
	}
}

// attackAsZygote has the attacker be a zygote that is asked for a fork, and returns what each attack met.
func attackAsZygote(t *testing.T, m *Maker) (map[string]string, identity) {
	t.Helper()
	code, arguments := arm(t, m)
	z, err := m.Zygote(t.Context(), sandbox.ZygoteSpec{
		ID: "zygote-" + strings.ToLower(faas.NewUUID()), Mounts: []sandbox.Mount{{Source: code, Target: "/var/task"}},
		Argv: append([]string{"/var/task/attack", "all but clone3 into a user namespace"}, arguments...), Dir: "/",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = z.Close() })
	if err := z.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	g, err := m.tree.New("asked-for", cgroup.Limits{Memory: 64 << 20, Pids: 8})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Remove(t.Context()) })
	if g.Dir() < 0 {
		t.Skip("no cgroup2 here")
	}
	if err := g.Admit(z.(*zygote).who.uid); err != nil {
		t.Fatal(err)
	}
	c := z.Channel()
	if _, _, err := c.WriteMsgUnix(make([]byte, 4), unix.UnixRights(g.Dir()), nil); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(3 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(c)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return sandboxtest.Outcomes(string(out)), z.(*zygote).who
}
