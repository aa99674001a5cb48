package faas

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// MaxLayers is how many layers a function may have
// (https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html).
const MaxLayers = 5

// LayerID names one version of a layer. Numbers count from 1 and are never used again.
type LayerID struct {
	Scope
	Name    string // 1 to 140 of [a-zA-Z0-9-_]
	Version int64
}

// LayerARN is the resource name of all versions together.
func (l LayerID) LayerARN() string {
	return "arn:aws:lambda:" + l.Region + ":" + l.Account + ":layer:" + l.Name
}

// ARN is the resource name of the version.
func (l LayerID) ARN() string { return l.LayerARN() + ":" + strconv.FormatInt(l.Version, 10) }

// Layer is one layer version as a function's version holds it: what it needs of it goes on when the layer is deleted.
type Layer struct {
	ARN  string `json:"arn"`
	Code Code   `json:"code"`
}

// Merged names the content that layers make together, later ones over earlier ones: the hash of the only layer, a hash of
// all hashes in order, or nothing without layers.
func Merged(layers []Layer) string {
	switch len(layers) {
	case 0:
		return ""
	case 1:
		return layers[0].Code.SHA256
	}
	hashes := make([]string, len(layers))
	for i, l := range layers {
		hashes[i] = l.Code.SHA256
	}
	sum := sha256.Sum256([]byte("layers " + strings.Join(hashes, " ")))
	return hex.EncodeToString(sum[:])
}

// Needs returns the names of all content that instances of v run from: its package, its layers, and what those make together.
func (v *Version) Needs() []string {
	needs := []string{v.Code.SHA256}
	for _, l := range v.Layers {
		needs = append(needs, l.Code.SHA256)
	}
	if len(v.Layers) > 1 {
		needs = append(needs, Merged(v.Layers))
	}
	return needs
}
