// Command thumbnail is a function for a provided runtime: it answers a small JPEG of the picture in its event, or of the
// photograph in its package.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	_ "image/gif"
	"image/jpeg"
	_ "image/png"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/aws/aws-lambda-go/lambda"
	"golang.org/x/image/draw"
)

const (
	shipped   = "grace_hopper.jpg"
	maxSide   = 1024
	maxPixels = 40 << 20 // of the source: 160 MB once decoded
)

// request is the event. Image is base64 in JSON.
type request struct {
	Image []byte `json:"image"` // JPEG, PNG or GIF; empty: the shipped photograph
	Size  int    `json:"size"`  // longer side in pixels, 1 to 1024; 0 means 128
}

// response is the answer. Image is base64 in JSON.
type response struct {
	ContentType string `json:"content_type"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	FromWidth   int    `json:"from_width"`
	FromHeight  int    `json:"from_height"`
	Image       []byte `json:"image"`
}

func handle(_ context.Context, in request) (response, error) {
	src := in.Image
	if len(src) == 0 {
		var err error
		if src, err = os.ReadFile(filepath.Join(os.Getenv("LAMBDA_TASK_ROOT"), shipped)); err != nil {
			return response{}, fmt.Errorf("read photograph: %w", err)
		}
	}
	if in.Size == 0 {
		in.Size = 128
	}
	out, err := thumbnail(src, in.Size)
	if err == nil {
		slog.Info("thumbnail made", "from_bytes", len(src), "bytes", len(out.Image), "width", out.Width, "height", out.Height)
	}
	return out, err
}

// thumbnail scales a picture so that its longer side has size pixels.
func thumbnail(src []byte, size int) (response, error) {
	if size < 1 || size > maxSide {
		return response{}, fmt.Errorf("size is %d; 1 to %d are allowed", size, maxSide)
	}
	cfg, format, err := image.DecodeConfig(bytes.NewReader(src))
	if err != nil {
		return response{}, fmt.Errorf("read picture: %w", err)
	}
	if cfg.Width < 1 || cfg.Height < 1 || cfg.Width > maxPixels/cfg.Height {
		return response{}, errors.New("the picture is empty or larger than 40 megapixels")
	}
	img, _, err := image.Decode(bytes.NewReader(src))
	if err != nil {
		return response{}, fmt.Errorf("read %s: %w", format, err)
	}
	w, h := size, max(1, size*cfg.Height/cfg.Width)
	if cfg.Height > cfg.Width {
		w, h = max(1, size*cfg.Width/cfg.Height), size
	}
	small := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.CatmullRom.Scale(small, small.Bounds(), img, img.Bounds(), draw.Src, nil)
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, small, &jpeg.Options{Quality: 85}); err != nil {
		return response{}, fmt.Errorf("write thumbnail: %w", err)
	}
	return response{"image/jpeg", w, h, cfg.Width, cfg.Height, buf.Bytes()}, nil
}

func main() { lambda.Start(handle) }
