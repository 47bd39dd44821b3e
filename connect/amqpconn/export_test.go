package amqpconn

import "context"

// Pass returns when the gate is open.
func Pass(ctx context.Context, g *Gate) { g.wait(ctx.Done()) }
