package lambda

import (
	"context"

	"artesian/internal/door/aws/lambda/api"
	"artesian/internal/faas"
)

// resolveLayers finds the layer versions that a function of the caller's is to have, in order.
func (s *Service) resolveLayers(ctx context.Context, arns []string) ([]faas.Layer, error) {
	if len(arns) > faas.MaxLayers {
		return nil, faas.Errorf(faas.Invalid, "Cannot reference more than %d layers.", faas.MaxLayers)
	}
	_, scope := s.cfg.Caller(ctx)
	seen := make(map[string]string, len(arns))
	layers := make([]faas.Layer, 0, len(arns))
	for _, arn := range arns {
		id, err := parseLayerVersion("Layers", arn)
		if err != nil {
			return nil, err
		}
		if id.Region != scope.Region {
			return nil, faas.Errorf(faas.Invalid, "Layers are not in the same region as the function. Layers are expected to be in region %s.", scope.Region)
		}
		if first, twice := seen[id.LayerARN()]; twice {
			return nil, faas.Errorf(faas.Invalid, "Two different versions of the same layer are not allowed to be referenced in the same function. %s and %s are versions of the same layer.",
				first, arn)
		}
		seen[id.LayerARN()] = arn
		l, err := s.readable(ctx, id)
		if faas.KindOf(err) == faas.NotFound {
			return nil, faas.Errorf(faas.Invalid, "Layer version %s does not exist.", arn)
		}
		if err != nil {
			return nil, err
		}
		layers = append(layers, faas.Layer{ARN: arn, Code: l.Code})
	}
	return layers, nil
}

// checkUnpacked refuses layers that are too large, alone or together with the package that measure measures, in the service's
// words, and those that can't be merged.
func (s *Service) checkUnpacked(ctx context.Context, layers []faas.Layer, measure func() (int64, error)) error {
	if len(layers) == 0 {
		return nil // a package alone is judged when it comes
	}
	var total int64
	for _, l := range layers {
		n, err := s.cfg.Packages.Unpacked(ctx, l.Code.SHA256)
		if err != nil {
			return err
		}
		total += n
	}
	if total > faas.MaxUnpackedBytes {
		return faas.Errorf(faas.Invalid, "Layers consume more than the available size of %d bytes", faas.MaxUnpackedBytes)
	}
	code, err := measure()
	if err != nil {
		return err
	}
	if total += code; total > faas.MaxUnpackedBytes {
		return faas.Errorf(faas.Invalid, "Function code combined with layers exceeds the maximum allowed size of %d bytes. The actual size is %d bytes.",
			faas.MaxUnpackedBytes, total)
	}
	_, err = s.cfg.Packages.Layers(ctx, layers)
	return err
}

// stored measures the package that a version has.
func (s *Service) stored(ctx context.Context, v *faas.Version) func() (int64, error) {
	return func() (int64, error) { return s.cfg.Packages.Unpacked(ctx, v.Code.SHA256) }
}

// uploaded measures a package that is not stored yet.
func (s *Service) uploaded(ctx context.Context, zip []byte) func() (int64, error) {
	return func() (int64, error) { return s.cfg.Packages.Measure(ctx, zip) }
}

func layerList(layers []faas.Layer) []api.Layer {
	var out []api.Layer
	for _, l := range layers {
		out = append(out, api.Layer{Arn: ptr(l.ARN), CodeSize: ptr(l.Code.Size)})
	}
	return out
}

// changeLayers gives v other layers; nil leaves those it has.
func (s *Service) changeLayers(ctx context.Context, v *faas.Version, arns []string) (err error) {
	if arns == nil {
		return nil
	}
	if v.Layers, err = s.resolveLayers(ctx, arns); err != nil {
		return err
	}
	return s.checkUnpacked(ctx, v.Layers, s.stored(ctx, v))
}
