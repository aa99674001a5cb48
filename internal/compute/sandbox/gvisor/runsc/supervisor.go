package runsc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/google/subcommands"
	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/control/client"
	"gvisor.dev/gvisor/pkg/sentry/control"
	"gvisor.dev/gvisor/pkg/sentry/state/checkpointfiles"
	"gvisor.dev/gvisor/pkg/urpc"
	"gvisor.dev/gvisor/runsc/boot"
	"gvisor.dev/gvisor/runsc/cmd/util"
	"gvisor.dev/gvisor/runsc/config"
	"gvisor.dev/gvisor/runsc/container"
	"gvisor.dev/gvisor/runsc/flag"
	"gvisor.dev/gvisor/runsc/specutils"

	"artesian/internal/compute/sandbox/gvisor/wire"
)

const (
	controlFD = 3
	stateDir  = "/run/state"
	bundleDir = "/run/bundle"
	imageDir  = "/run/image"
	name      = "function" // of the only container
)

// supervisor is the first process of the runtime in a sandbox. The daemon talks to it over descriptor 3; it starts the kernel
// and the file server, tells what happens, and everything ends with it.
type supervisor struct {
	util.InternalSubCommand

	conn     *net.UnixConn
	writing  sync.Mutex
	carrying sync.Mutex // held while an order is carried out
	conf     *config.Config
	inside   *container.Container
	all      []int32 // of programs beside the main one and of that, the last
}

func (*supervisor) Name() string           { return supervise }
func (*supervisor) Synopsis() string       { return "runs a sandbox of the level gvisor" }
func (*supervisor) Usage() string          { return supervise + "\n" }
func (*supervisor) SetFlags(*flag.FlagSet) {}

// Execute implements subcommands.Command.
func (s *supervisor) Execute(_ context.Context, _ *flag.FlagSet, args ...any) subcommands.ExitStatus {
	s.conf = args[0].(*config.Config)
	f := os.NewFile(controlFD, "control")
	c, err := net.FileConn(f)
	_ = f.Close()
	conn, ok := c.(*net.UnixConn)
	if err != nil || !ok {
		fmt.Fprintln(os.Stderr, "this is a part of artesian, started by its daemon")
		return subcommands.ExitFailure
	}
	s.conn = conn
	if err := s.serve(); err != nil {
		s.tell(wire.News{Kind: wire.Failed, Error: err.Error()})
		return subcommands.ExitFailure
	}
	return subcommands.ExitSuccess
}

// serve carries out the first order, then others until the daemon goes or the program has ended.
func (s *supervisor) serve() error {
	began := time.Now()
	var first wire.Order
	files, err := wire.Read(s.conn, &first)
	if err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	if first.Program == nil {
		return fmt.Errorf("order %q has no program", first.Kind)
	}
	if err := s.start(first, files); err != nil {
		return err
	}
	if len(first.Program.Beside) > 0 {
		if err := s.startAll(*first.Program, files); err != nil {
			return err
		}
	}
	wire.Close(files)
	s.tell(wire.News{Kind: wire.Running, Number: first.Number, Took: time.Since(began)})
	go s.obey()
	if len(first.Program.Beside) > 0 {
		return s.waitAll()
	}
	status, err := s.inside.Wait()
	if err != nil {
		return fmt.Errorf("wait for the program: %w", err)
	}
	s.carrying.Lock() // an order that has ended the program is answered first
	defer s.carrying.Unlock()
	s.tell(wire.News{Kind: wire.Exited, Status: uint32(status)})
	return nil
}

func (s *supervisor) tell(n wire.News) {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = wire.Write(s.conn, n) // a daemon that is gone ends us, too
}

// start makes the kernel and runs the program in it.
func (s *supervisor) start(o wire.Order, files []*os.File) error {
	spec := bundle(*o.Program)
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	for _, dir := range []string{bundleDir, imageDir} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(bundleDir, "config.json"), text, 0o600); err != nil {
		return err
	}
	args := container.Args{ID: name, Spec: spec, BundleDir: bundleDir, Attached: true}
	if o.Program.Channel && len(files) == 0 {
		return errors.New("the order lacks the channel")
	}
	if len(o.Program.Beside) > 0 {
		if args.ExecFile, err = os.Open(specutils.ExePath); err != nil {
			return err
		}
	} else if o.Program.Channel {
		args.PassFiles = map[int]*os.File{controlFD: files[0]}
		files = files[1:]
	}
	if s.inside, err = container.New(s.conf, args); err != nil {
		return err
	}
	s.tell(wire.News{Kind: wire.Made})
	if o.Kind == wire.Restore {
		return s.restore(files)
	}
	return s.inside.Start(s.conf)
}

// images are the files of a saved kernel, in the order in which they travel.
var images = []string{checkpointfiles.StateFileName, checkpointfiles.PagesMetadataFileName, checkpointfiles.PagesFileName}

// restore has the kernel load an image. The runtime wants to open it by name.
func (s *supervisor) restore(files []*os.File) error {
	if len(files) != len(images) {
		return fmt.Errorf("an image of %d files, not %d", len(files), len(images))
	}
	for i, f := range files {
		if err := os.Symlink("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), filepath.Join(imageDir, images[i])); err != nil {
			return err
		}
	}
	return s.inside.Restore(s.conf, imageDir, false, false, nil)
}

// obey carries out orders until the daemon is gone.
func (s *supervisor) obey() {
	for {
		var o wire.Order
		files, err := wire.Read(s.conn, &o)
		if err != nil {
			os.Exit(1) // all ends with this process
		}
		s.answer(o, files)
	}
}

// answer carries out an order and tells how that went.
func (s *supervisor) answer(o wire.Order, files []*os.File) {
	s.carrying.Lock()
	defer s.carrying.Unlock()
	err := s.carryOut(o, files)
	wire.Close(files)
	switch {
	case o.Kind == wire.Signal || o.Kind == wire.Resume:
	case err != nil:
		s.tell(wire.News{Kind: wire.Failed, Number: o.Number, Error: err.Error()})
	default:
		s.tell(wire.News{Kind: wire.Done, Number: o.Number})
	}
}

func (s *supervisor) carryOut(o wire.Order, files []*os.File) error {
	switch o.Kind {
	case wire.Signal:
		return s.signal(unix.Signal(o.Signal))
	case wire.Pause:
		return s.inside.Sandbox.Pause(name)
	case wire.Resume:
		return s.inside.Sandbox.Resume(name)
	case wire.Save:
		return s.save(files)
	default:
		return fmt.Errorf("unknown order %q", o.Kind)
	}
}

// save writes the kernel and all that runs in it to files, and ends it.
func (s *supervisor) save(files []*os.File) error {
	conn, err := client.ConnectTo(s.inside.Sandbox.GetControlSocketPath())
	if err != nil {
		return err
	}
	defer conn.Close()
	opt := control.SaveOpts{FilePayload: urpc.FilePayload{Files: files}, HavePagesFile: true,
		Metadata: map[string]string{"compression": "none"}, AppMFExcludeCommittedZeroPages: true}
	return conn.Call(boot.ContMgrCheckpoint, &opt, nil)
}
