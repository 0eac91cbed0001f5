package storm

func newWire(s *storm) (land, error) { return newPlain(s), nil }
