package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"artesian/internal/compute/lang/fetch"
	"artesian/internal/compute/lang/pack"
)

// clients are the parts of AWS SDK for JavaScript that the pack has: those of the services that this platform has or will
// have, and the libraries above them. Lambda's runtimes have every client, which is some hundred megabytes.
var clients = []string{
	"client-apigatewaymanagementapi", "client-cloudwatch", "client-cloudwatch-logs", "client-dynamodb", "client-dynamodb-streams",
	"client-eventbridge", "client-iam", "client-kinesis", "client-kms", "client-lambda", "client-s3", "client-scheduler",
	"client-secrets-manager", "client-ses", "client-sesv2", "client-sfn", "client-sns", "client-sqs", "client-ssm", "client-sts",
	"credential-providers", "lib-dynamodb", "lib-storage", "s3-presigned-post", "s3-request-presigner", "util-dynamodb",
}

// node is AWS SDK for JavaScript with what it needs, where npm puts it.
func (g *generator) node(ctx context.Context) (*pack.Manifest, error) {
	if err := os.WriteFile(filepath.Join(g.tmp, "package.json"), []byte(`{"name":"pack","version":"1.0.0"}`), 0o600); err != nil {
		return nil, err
	}
	args := []string{"install", "--package-lock-only", "--ignore-scripts", "--omit=optional", "--silent"}
	for _, c := range clients {
		args = append(args, "@aws-sdk/"+c)
	}
	if _, err := g.tool(ctx, "npm", args...); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(filepath.Join(g.tmp, "package-lock.json"))
	if err != nil {
		return nil, err
	}
	var lock struct {
		Packages map[string]struct {
			Name, Version, Integrity, License string
			Optional                          bool
			OS, CPU                           []string
		}
	}
	if err := json.Unmarshal(b, &lock); err != nil {
		return nil, err
	}
	m := &pack.Manifest{Name: "aws-sdk-js", Language: "nodejs", Title: "AWS SDK for JavaScript v3", Oldest: 20, Source: "https://www.npmjs.com/package/@aws-sdk/client-lambda"}
	places := make([]string, 0, len(lock.Packages))
	for place := range lock.Packages {
		places = append(places, place)
	}
	slices.Sort(places)
	for _, place := range places {
		p := lock.Packages[place]
		if place == "" || p.Optional {
			continue
		}
		digest, ok := strings.CutPrefix(p.Integrity, "sha512-")
		sum, err := base64.StdEncoding.DecodeString(digest)
		if !ok || err != nil || p.Name != "" || len(p.OS)+len(p.CPU) > 0 {
			return nil, fmt.Errorf("%s has integrity %q, name %q or is for one kind of machine only", place, p.Integrity, p.Name)
		}
		name := place[strings.LastIndex(place, "node_modules/")+len("node_modules/"):]
		f := pack.File{Into: strings.TrimPrefix(place, "node_modules/"), Licence: p.License,
			File: fetch.File{Registry: fetch.NPM, Name: name, Version: p.Version, Hash: "sha512:" + hex.EncodeToString(sum)}}
		if f.Size, err = g.size(ctx, f.File); err != nil {
			return nil, err
		}
		if name == "@aws-sdk/client-lambda" {
			m.Version = f.Version
		}
		m.Files = append(m.Files, f)
	}
	return m, nil
}
