package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"artesian/internal/engine"
)

// tools are the programs of the host that every function finds in /bin and /usr/bin: what Lambda's own system has
// (a shell, GNU's core utilities, curl) and what bootstraps written as shell scripts lean on. One that the host doesn't
// have, or that needs more than the system's libraries, is left out.
const tools = "sh bash awk sed grep egrep fgrep find xargs curl gzip gunzip zcat tar which" +
	" [ arch base32 base64 basename cat chmod cksum comm cp csplit cut date dd df dir dirname du echo env expand expr factor" +
	" false fmt fold head hostname id install join link ln ls md5sum mkdir mkfifo mktemp mv nice nl nohup nproc numfmt od" +
	" paste pathchk pr printenv printf pwd readlink realpath rm rmdir seq sha1sum sha224sum sha256sum sha384sum sha512sum" +
	" shred shuf sleep sort split stat stdbuf stty sum sync tac tail tee test timeout touch tr true truncate tsort tty uname" +
	" unexpand uniq unlink wc whoami yes"

const toolsPrefix = "tools-"

// installTools copies the tools below dir, once per state of the host's, and returns their folder, the names of those that
// the host lacks, and the loader that they are run by. Copies are on the disk when it returns; ones that were cut short
// are made anew. What an older state left is removed: nothing runs at the start of a daemon.
func installTools(ctx context.Context, dir string) (folder string, lacks []string, load *loader, err error) {
	found, lacks, load, err := findTools()
	if err != nil {
		return "", nil, nil, err
	}
	hash := sha256.New()
	for _, t := range found {
		fmt.Fprintln(hash, t.name, t.path, t.info.Size(), t.info.ModTime().UnixNano())
	}
	folder = filepath.Join(dir, toolsPrefix+hex.EncodeToString(hash.Sum(nil)[:8]))
	if !slices.ContainsFunc(found, func(t tool) bool { return !t.copied(folder) }) {
		return folder, lacks, load, nil
	}
	old, _ := filepath.Glob(filepath.Join(dir, toolsPrefix+"*")) // the pattern is well-formed
	for _, o := range old {
		_ = os.RemoveAll(o) // tried again next time
	}
	return folder, lacks, load, copyTools(ctx, found, dir, folder)
}

// copyTools makes folder, below dir, whole or not at all.
func copyTools(ctx context.Context, found []tool, dir, folder string) error {
	tmp, err := os.MkdirTemp(dir, ".tools-")
	if err != nil {
		return fmt.Errorf("create folder of tools: %w", err)
	}
	defer os.RemoveAll(tmp)
	copied := make(map[string]string)
	for _, t := range found {
		if ctx.Err() != nil {
			return fmt.Errorf("copy tools: %w", ctx.Err())
		}
		if err := t.copy(tmp, copied); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return fmt.Errorf("create folder of tools: %w", err)
	}
	if err := engine.SyncDir(tmp); err != nil {
		return err
	}
	err = os.Rename(tmp, folder)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.ENOTEMPTY) {
		if !slices.ContainsFunc(found, func(t tool) bool { return !t.copied(folder) }) {
			return nil // somebody else was faster
		}
		if err = os.RemoveAll(folder); err == nil {
			err = os.Rename(tmp, folder)
		}
	}
	if err != nil {
		return fmt.Errorf("install tools: %w", err)
	}
	return engine.SyncDir(dir)
}

// tool is one program of the host.
type tool struct {
	name string
	path string // the real file
	info os.FileInfo
}

// copied reports whether folder has a copy as large as the tool, which anybody may execute.
func (t tool) copied(folder string) bool {
	info, err := os.Lstat(filepath.Join(folder, t.name))
	return err == nil && info.Mode() == 0o755 && info.Size() == t.info.Size()
}

func findTools() (found []tool, lacks []string, load *loader, err error) {
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		return nil, nil, nil, fmt.Errorf("find a shell: %w", err)
	}
	if load, err = systemLoader(shell); err != nil {
		return nil, nil, nil, err
	}
	for name := range strings.FieldsSeq(tools) {
		before := len(found)
		for _, dir := range []string{"/usr/bin", "/bin"} {
			real, err := filepath.EvalSymlinks(filepath.Join(dir, name))
			if err != nil {
				continue
			}
			info, err := os.Stat(real)
			if err == nil && info.Mode().IsRegular() && len(load.closure([]string{real})) == 0 {
				found = append(found, tool{name, real, info})
				break
			}
		}
		if len(found) == before {
			lacks = append(lacks, name)
		}
	}
	return found, lacks, load, nil
}

// copy puts the tool into folder, without the set-user-id bit; another name of a file that is there becomes a link.
func (t tool) copy(folder string, copied map[string]string) error {
	to := filepath.Join(folder, t.name)
	if from := copied[t.path]; from != "" {
		return os.Link(from, to)
	}
	copied[t.path] = to
	in, err := os.Open(t.path)
	if err != nil {
		return fmt.Errorf("copy tool: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return fmt.Errorf("copy tool: %w", err)
	}
	_, err = io.Copy(out, in)
	if err == nil {
		err = out.Chmod(0o755)
	}
	if err == nil {
		err = out.Sync()
	}
	if closed := out.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("copy tool: %w", err)
	}
	return nil
}
