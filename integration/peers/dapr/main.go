// Command dapr is Dapr's sidecar with the one component that a benchmark needs:
// the program of Dapr itself has all of them.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/dapr/components-contrib/pubsub/jetstream"
	"github.com/dapr/dapr/cmd/daprd/options"
	"github.com/dapr/dapr/pkg/components/pubsub"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/metrics"
	"github.com/dapr/dapr/pkg/modes"
	"github.com/dapr/dapr/pkg/runtime"
	"github.com/dapr/dapr/pkg/runtime/registry"
	"github.com/dapr/dapr/pkg/security"
	"github.com/dapr/kit/concurrency"
	"github.com/dapr/kit/logger"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	o, err := options.New(os.Args[1:])
	if err != nil {
		return err
	}
	if err := logger.ApplyOptionsToLoggers(&o.Logger); err != nil {
		return err
	}
	health := healthz.New()
	secured, err := security.New(ctx, security.Options{
		ControlPlaneTrustDomain: o.ControlPlaneTrustDomain, ControlPlaneNamespace: o.ControlPlaneNamespace,
		AppID: o.AppID, Mode: modes.DaprMode(o.Mode), Healthz: health,
	})
	if err != nil {
		return err
	}
	components := pubsub.NewRegistry()
	components.Logger = logger.NewLogger("dapr.contrib")
	components.RegisterComponent(jetstream.NewJetStream, "jetstream")
	return concurrency.NewRunnerManager(secured.Run, func(ctx context.Context) error {
		handler, err := secured.Handler(ctx)
		if err != nil {
			return err
		}
		sidecar, err := runtime.FromConfig(ctx, &runtime.Config{
			AppID: o.AppID, AppProtocol: o.AppProtocol, ApplicationPort: o.AppPort, AppChannelAddress: o.AppChannelAddress,
			AppMaxConcurrency: o.AppMaxConcurrency, ResourcesPath: o.ResourcesPath, Mode: o.Mode,
			DaprHTTPPort: o.DaprHTTPPort, DaprAPIListenAddresses: o.DaprAPIListenAddresses, DaprAPIGRPCPort: o.DaprAPIGRPCPort,
			DaprInternalGRPCPort: o.DaprInternalGRPCPort, DaprInternalGRPCListenAddress: o.DaprInternalGRPCListenAddress,
			DaprPublicPort: o.DaprPublicPort, DaprPublicListenAddress: o.DaprPublicListenAddress,
			ProfilePort: o.ProfilePort, MaxRequestSize: o.MaxRequestSize, ReadBufferSize: o.ReadBufferSize,
			DaprGracefulShutdownSeconds: o.DaprGracefulShutdownSeconds, AllowedOrigins: o.AllowedOrigins,
			DisableBuiltinK8sSecretStore: true, Security: handler, Healthz: health,
			Metrics:  metrics.Options{Log: logger.NewLogger("dapr.metrics"), Healthz: health},
			Registry: registry.NewOptions().WithPubSubs(components),
		})
		if err != nil {
			return err
		}
		return sidecar.Run(ctx)
	}).Run(ctx)
}
