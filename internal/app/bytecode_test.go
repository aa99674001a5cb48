package app_test

import (
	"path/filepath"
	"strings"
	"testing"

	"artesian/internal/door/gateway/admin"
	"artesian/internal/faas"
)

// TestCompiledAtPublish: a function that was published has its modules compiled before it is called, and runs from them.
func TestCompiledAtPublish(t *testing.T) {
	p := start(t)
	p.role()
	p.create("f", map[string]string{"app.py": "import part.of\ndef handler(e, c): return [__cached__, part.of.__cached__]\n", "part/__init__.py": "", "part/of.py": "x = 1\n"}, nil)
	eventually(t, "it is compiled", func() bool {
		made, _ := filepath.Glob(filepath.Join(p.data, "bytecode", "*", "part", "of.cpython-*.pyc"))
		return len(made) == 1 && !strings.Contains(made[0], "new-")
	})
	if a := p.invoke("f", "0"); strings.Count(a.body, "/var/lang/compiled/task/") != 2 {
		t.Error(a.body)
	}
}

// TestForkTag: a function that does not want to be forked is not, and its receipt says so; any other value of the tag is refused.
func TestForkTag(t *testing.T) {
	p := start(t)
	p.role()
	p.create("alone", map[string]string{"app.py": "import sys\ndef handler(e, c): return 'asyncio' in sys.modules\n"}, spec{"Tags": spec{faas.ForkTag: faas.Off}})
	a := p.invoke("alone", "0")
	if a.body != "false" {
		t.Error(a.body)
	}
	var r admin.Receipt
	eventually(t, "a receipt", func() bool { return p.get(admin.ReceiptsPath+a.id, &r) == 200 })
	if r.Cold == nil || r.Cold.Way == faas.WayFork || !strings.Contains(r.Cold.Why, "its tag artesian:fork is off") {
		t.Errorf("%+v", r.Cold)
	}
	if _, body := p.tryCreate("wrong", zipOf(t, map[string]string{"app.py": ""}), spec{"Tags": spec{faas.ForkTag: "no"}}); !strings.Contains(body, `artesian:fork is \"no\"; it must be on or off`) {
		t.Error(body)
	}
}
