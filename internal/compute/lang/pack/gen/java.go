package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"

	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/lang/pack"
)

// jars are AWS's runtime interface client and what its project file says it needs, the serialisation in its newest version,
// as Lambda has it.
var jars = []string{
	"com.amazonaws:aws-lambda-java-runtime-interface-client:2.10.1",
	"com.amazonaws:aws-lambda-java-core:1.4.0",
	"com.amazonaws:aws-lambda-java-serialization:1.4.1",
	"software.amazon.awssdk:utils-lite:2.34.0",
}

// java pins what Maven Central has now: it publishes a SHA-1 only of some files.
func (g *generator) java(ctx context.Context) (*pack.Manifest, error) {
	m := &pack.Manifest{Name: "java-runtime", Language: "java", Title: "AWS Lambda Java runtime interface client", Oldest: 8, Needed: true,
		Source: "https://central.sonatype.com/artifact/com.amazonaws/aws-lambda-java-runtime-interface-client"}
	for _, jar := range jars {
		parts := strings.Split(jar, ":")
		file := parts[1] + "-" + parts[2] + ".jar"
		url := fmt.Sprintf("%s/%s/%s/%s/%s", g.registries.Maven, strings.ReplaceAll(parts[0], ".", "/"), parts[1], parts[2], file)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		sum := sha256.New()
		n, err := io.Copy(sum, resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: %s: %w", url, resp.Status, err)
		}
		m.Files = append(m.Files, pack.File{Licence: "Apache-2.0", File: fetch.File{Registry: fetch.Maven, Name: parts[0] + ":" + parts[1], Version: parts[2],
			File: file, Hash: fmt.Sprintf("sha256:%x", sum.Sum(nil)), Size: n}})
	}
	m.Version = m.Files[0].Version
	return m, nil
}
