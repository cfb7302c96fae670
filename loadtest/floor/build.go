package floor

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed bare/floor.c
var floorSource []byte

// BuildNode compiles the node that is measured (package picture) into dir and gives the program's path. The working directory must
// be in this module.
func BuildNode(ctx context.Context, stderr io.Writer, dir string) (string, error) {
	path := filepath.Join(dir, "picture")
	return path, build(ctx, stderr, "go", "build", "-o", path, "tickover.dev/loadtest/floor/picture")
}

// BuildFloor compiles the floor into dir, with $CC or gcc, and gives the program's path.
func BuildFloor(ctx context.Context, stderr io.Writer, dir string) (string, error) {
	source, path := filepath.Join(dir, "floor.c"), filepath.Join(dir, "floor")
	if err := os.WriteFile(source, floorSource, 0o600); err != nil {
		return "", err
	}
	return path, build(ctx, stderr, cmp.Or(os.Getenv("CC"), "gcc"), "-O2", "-o", path, source)
}

func build(ctx context.Context, stderr io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %v: %w", name, args, err)
	}
	return nil
}
