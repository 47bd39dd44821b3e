package container

import (
	"context"
	"fmt"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/client"
)

// Check says what is wrong with the name of an image, which is as for docker
// run: [registry/]name[:tag][@digest].
func Check(image string) error {
	if _, err := reference.ParseDockerRef(image); err != nil {
		return fmt.Errorf("%q is not the name of an image: %w; it is like registry.example/team/resize:1.2", image, err)
	}
	return nil
}

// Prepare sees to it that the engine has an image, and pulls it if not. It
// returns the image's id: what the name means now, whatever is tagged so later.
func (e *Engine) Prepare(ctx context.Context, image string) (string, error) {
	if err := Check(image); err != nil {
		return "", err
	}
	found, err := e.client.ImageInspect(ctx, image)
	if errdefs.IsNotFound(err) {
		if err := e.pull(ctx, image); err != nil {
			return "", fmt.Errorf("the engine at %s has no image %q and could not pull it: %w; build it or pull it by hand (docker pull %s)", e.host, image, err, image)
		}
		found, err = e.client.ImageInspect(ctx, image)
	}
	if err != nil {
		return "", fmt.Errorf("looking for the image %q: %w", image, err)
	}
	return found.ID, nil
}

func (e *Engine) pull(ctx context.Context, image string) error {
	progress, err := e.client.ImagePull(ctx, image, client.ImagePullOptions{})
	if err != nil {
		return err
	}
	return progress.Wait(ctx)
}
