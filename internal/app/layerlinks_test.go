package app_test

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"net/http"
	"testing"
)

// linkZip is a package with one symbolic link.
func linkZip(t *testing.T, path, target string) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: path}
	h.SetMode(fs.ModeSymlink | 0o777)
	w, err := zw.CreateHeader(h)
	if err == nil {
		_, err = w.Write([]byte(target))
	}
	if err == nil {
		err = zw.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestLayersLeadOutTogether: layers whose links lead to the host's files when they are merged are refused when a function is given
// them, and nothing of it is done.
func TestLayersLeadOutTogether(t *testing.T) {
	p := start(t)
	p.role()
	p.create("f", map[string]string{"app.py": importing}, nil)
	var arns []string
	for name, link := range map[string][2]string{"way": {"d", "."}, "out": {"nodejs/node_modules", "../d/d/d/../../../etc"}} {
		resp, body := p.tryLayer(name, linkZip(t, link[0], link[1]), nil)
		if resp.StatusCode != http.StatusCreated {
			t.Fatal(body)
		}
		arns = append(arns, jsonField(t, body, "LayerVersionArn").(string))
	}
	resp, body := p.configure("f", spec{"Layers": arns})
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("%s %s", resp.Status, body)
	}
	mustContain(t, "the answer", body, "nodejs/node_modules", "outside")
	if a := p.invoke("f", "{}"); a.err != "" {
		t.Errorf("%+v", a)
	}
}
