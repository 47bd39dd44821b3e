package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/service"
	"sluice/config"
	"sluice/event"
)

// upFlags are the flags of "sluice up".
type upFlags struct {
	config, format, level string
	drain                 time.Duration
}

func newUpCommand(app *app) *cobra.Command {
	var flags upFlags
	cmd := &cobra.Command{
		Use: "up", Short: "Run the service", Args: noArguments,
		Long: `Runs what the configuration asks for, until it is interrupted: then it takes no
more events, finishes the attempts under way, and ends. A second interrupt ends
it at once; nothing that was accepted is lost by that.

SIGHUP reads the file again: sources and triggers are taken over without a
restart, and an invalid file changes nothing. Logs go to standard error.
The admin listener asks for the token of the file, or else of ` + envToken + `.`,
		Example: "  sluice up\n  sluice up -c staging.yaml --log-format json",
		RunE:    func(cmd *cobra.Command, _ []string) error { return app.up(cmd.Context(), &flags) },
	}
	cmd.Flags().StringVarP(&flags.config, "config", "c", defaultFile, "the configuration `FILE`")
	cmd.Flags().StringVar(&flags.format, "log-format", "text", "text or json")
	cmd.Flags().StringVar(&flags.level, "log-level", "info", "debug, info, warn or error")
	cmd.Flags().DurationVar(&flags.drain, "drain", 25*time.Second, "how long attempts under way may go on at the end")
	return cmd
}

// newLogger makes the logger that the flags ask for.
func newLogger(w io.Writer, format, level string) (*slog.Logger, error) {
	var options slog.HandlerOptions
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	found, ok := levels[level]
	if !ok {
		return nil, exitWithf(exitUsage, "--log-level %q: it is debug, info, warn or error", level)
	}
	options.Level = found
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, &options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, &options)), nil
	}
	return nil, exitWithf(exitUsage, "--log-format %q: it is text or json", format)
}

func (a *app) up(ctx context.Context, flags *upFlags) error {
	logger, err := newLogger(a.stderr, flags.format, flags.level)
	if err != nil {
		return err
	}
	if flags.drain <= 0 {
		return exitWithf(exitUsage, "--drain %s: write a time such as 25s", flags.drain)
	}
	file, err := a.loadFile(flags.config)
	if err != nil {
		return err
	}
	for _, warning := range file.Warnings {
		logger.Warn("the configuration should be changed", slog.String("problem", warning.Error()))
	}
	options, err := a.serviceOptions(file, logger, flags.drain)
	if err != nil {
		return err
	}
	running, err := service.Open(ctx, options)
	if err != nil {
		return notStarted(ctx, err, logger)
	}
	return a.runWithReload(ctx, running, flags.config, logger)
}

// serviceOptions are what both ways of running the service have in common.
func (a *app) serviceOptions(file *config.File, logger *slog.Logger, drain time.Duration) (service.Options, error) {
	token, err := a.adminToken(file)
	return service.Options{
		File: file, Logger: logger, Version: programVersion(), Drain: drain, Token: token,
	}, err
}

// adminToken is the token of the file, or else of the environment. Which of two
// different ones is meant nobody can know.
func (a *app) adminToken(file *config.File) (config.Secret, error) {
	text, _ := a.lookup(envToken)
	given, token := config.NewSecret(text), file.Admin.Token
	switch {
	case token.IsZero():
		if err := config.CheckToken(envToken, given); err != nil {
			return token, exitWithf(exitInvalid, "%w", err)
		}
		return given, nil
	case !given.IsZero() && given.Reveal() != token.Reveal():
		return token, exitWithf(exitInvalid, "admin.token in %s and $%s are two different tokens: remove one of them, or write token: \"${%s}\"", file.Path, envToken, envToken)
	}
	return token, nil
}

// notStarted says why the service has not started. When it was asked to stop
// meanwhile, that is no failure.
func notStarted(ctx context.Context, err error, logger *slog.Logger) error {
	if ctx.Err() == nil {
		return startError(err)
	}
	logger.Info("stopped while starting", slog.Any("error", err))
	return nil
}

// startError gives what keeps the service from starting its exit code.
func startError(err error) error {
	if errors.Is(err, event.ErrUnavailable) {
		return exitWith(exitUnreachable, err)
	}
	return exitWith(exitFailure, err)
}

// runWithReload runs the service, and reads the file again at each SIGHUP.
func (a *app) runWithReload(ctx context.Context, running *service.Service, path string, logger *slog.Logger) error {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGHUP)
	defer signal.Stop(again)
	watching, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-watching.Done():
				return
			case <-again:
				a.reload(watching, running, path, logger)
			}
		}
	}()
	err := running.Run(ctx)
	stop()
	<-ended
	if err != nil {
		return startError(err)
	}
	return nil
}

// reload takes the file over, and logs what came of it.
func (a *app) reload(ctx context.Context, running *service.Service, path string, logger *slog.Logger) {
	changes, err := a.takeOver(ctx, running, path)
	if err != nil {
		logger.Error("the configuration is not taken over; the old one goes on", slog.Any("error", err))
		return
	}
	logger.Info("configuration taken over", slog.String("sources", changes.Sources.String()), slog.String("triggers", changes.Triggers.String()))
	if len(changes.Restart) > 0 {
		logger.Warn("a change takes effect at the next start only", slog.Any("sections", changes.Restart))
	}
}

func (a *app) takeOver(ctx context.Context, running *service.Service, path string) (service.Changes, error) {
	file, err := config.Load(path, kinds(), a.lookup)
	if errors.Is(err, fs.ErrNotExist) {
		return service.Changes{}, fmt.Errorf("there is no file %q any more", path)
	}
	if err != nil {
		return service.Changes{}, err
	}
	return running.Reload(ctx, file)
}
