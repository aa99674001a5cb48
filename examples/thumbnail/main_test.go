package main

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"testing"
)

func TestShippedPhotograph(t *testing.T) {
	t.Setenv("LAMBDA_TASK_ROOT", ".")
	out, err := handle(t.Context(), request{})
	if err != nil {
		t.Fatal(err)
	}
	if out.Width != 109 || out.Height != 128 || out.FromWidth != 512 || out.FromHeight != 600 {
		t.Errorf("%d×%d from %d×%d", out.Width, out.Height, out.FromWidth, out.FromHeight)
	}
	cfg, err := jpeg.DecodeConfig(bytes.NewReader(out.Image))
	if err != nil || cfg.Width != 109 || cfg.Height != 128 {
		t.Errorf("thumbnail is %d×%d: %v", cfg.Width, cfg.Height, err)
	}
}

func TestPictureInEvent(t *testing.T) {
	red := image.NewRGBA(image.Rect(0, 0, 400, 100))
	for i := range red.Pix {
		red.Pix[i] = []byte{200, 0, 0, 255}[i%4]
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, red); err != nil {
		t.Fatal(err)
	}
	out, err := handle(t.Context(), request{Image: buf.Bytes(), Size: 40})
	if err != nil {
		t.Fatal(err)
	}
	img, err := jpeg.Decode(bytes.NewReader(out.Image))
	if err != nil || img.Bounds() != image.Rect(0, 0, 40, 10) {
		t.Fatalf("thumbnail is %v: %v", img.Bounds(), err)
	}
	if c := color.RGBAModel.Convert(img.At(20, 5)).(color.RGBA); c.R < 180 || c.G > 30 || c.B > 30 {
		t.Errorf("colour %v, want red", c)
	}
}

func TestRefusals(t *testing.T) {
	for name, in := range map[string]request{
		"no picture": {Image: []byte("text")},
		"too small":  {Image: []byte("x"), Size: -1},
		"too large":  {Image: []byte("x"), Size: 1025},
	} {
		if _, err := handle(t.Context(), in); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
