package app

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"artesian/internal/faas"
)

// file is what trust in one file or folder rests on.
type file struct {
	path string
	mode fs.FileMode
	uid  int
}

// trustedProgram returns the real place of a program that the daemon may run with its own rights, or why it may not:
// nobody but root and the daemon's user can have put it there or can replace it.
func trustedProgram(path, data string) (string, error) {
	if !filepath.IsAbs(path) {
		return "", faas.Errorf(faas.Invalid, "path %.200q is not absolute", path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", faas.Errorf(faas.Invalid, "path %.200q does not lead to a file", path)
	}
	if data, err = filepath.EvalSymlinks(data); err != nil {
		return "", err
	}
	var chain []file
	for at := real; ; at = filepath.Dir(at) {
		info, err := os.Lstat(at)
		if err != nil {
			return "", faas.Errorf(faas.Invalid, "path %.200q cannot be looked at", path)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return "", faas.Errorf(faas.Invalid, "path %.200q has no owner", path)
		}
		chain = append(chain, file{at, info.Mode(), int(st.Uid)})
		if at == "/" {
			break
		}
	}
	return real, untrusted(chain, data, os.Geteuid())
}

// untrusted says what is wrong with a program, given it and its parent folders up to the root, all without symbolic links,
// the real data directory and the daemon's user. What is in the data directory came from users of the platform.
func untrusted(chain []file, data string, uid int) error {
	program := chain[0]
	refuse := func(format string, args ...any) error {
		return faas.Errorf(faas.Denied, "%.200q cannot be a runtime: the daemon would run it with its own rights, but "+format, append([]any{program.path}, args...)...)
	}
	if program.path == data || strings.HasPrefix(program.path, strings.TrimSuffix(data, "/")+"/") {
		return refuse("it is in the data directory, where the packages of the platform's users are")
	}
	if !program.mode.IsRegular() || program.mode.Perm()&0o111 == 0 {
		return refuse("it is not an executable file")
	}
	for _, f := range chain {
		if f.uid != 0 && f.uid != uid {
			return refuse("%q belongs to the user with the id %d; it must belong to root or to the daemon's own user", f.path, f.uid)
		}
		if f.mode.Perm()&0o022 != 0 {
			return refuse("%q can be written by others (mode %04o): chmod go-w, or put the runtime elsewhere", f.path, f.mode.Perm())
		}
	}
	return nil
}
