package function

import (
	"context"
	"errors"

	"sluice/config"
	"sluice/functions/container"
)

// ImageConfig goes before what the image itself says, as the service's does.
type ImageConfig struct {
	EntryPoint       []string `yaml:"entry_point"`
	Command          []string `yaml:"command"`
	WorkingDirectory string   `yaml:"working_directory"`
}

// validateImage says what of a function with an image cannot be, and whether
// there is an engine to run it.
func (c *Config) validateImage() error {
	var all []error
	if c.Handler != "" {
		return config.Invalid("image", "it has handler too: its code is in a file or in an image; remove one of them")
	}
	if c.Runtime != "" {
		all = append(all, config.Invalid("runtime", "an image has its own: remove it"))
	}
	if c.Landlock != nil {
		all = append(all, config.Invalid("landlock", "a container reaches nothing but its image: remove it"))
	}
	if err := container.Check(c.Image); err != nil {
		return errors.Join(append(all, config.Invalid("image", "%v", err))...)
	}
	engine, err := container.Open(context.Background(), "")
	if err != nil {
		return errors.Join(append(all, config.Invalid("image", "%v", err))...)
	}
	return errors.Join(append(all, engine.Close())...)
}

// validateNoImage refuses what only an image has.
func (c *Config) validateNoImage() error {
	if i := c.ImageConfig; len(i.EntryPoint)+len(i.Command) == 0 && i.WorkingDirectory == "" {
		return nil
	}
	return config.Invalid("image_config", "only a function with image has this: remove it")
}

// containers is what the workers of a function with an image are made of.
func (c *Config) containers(name string) container.Spec {
	return container.Spec{
		Function: name, Image: c.Image, User: c.User, Memory: int64(c.Memory),
		Entrypoint: c.ImageConfig.EntryPoint, Command: c.ImageConfig.Command, WorkingDir: c.ImageConfig.WorkingDirectory,
	}
}
