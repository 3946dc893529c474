package admin

import (
	"context"

	"keyless/shared/registry"
)

// inside is the context key of a caller whom our own process has proven.
type inside struct{}

// As marks a request as that of a caller whom this process itself has proven: the command line on its own store, or the console after a
// sign-in. No request from a socket carries such a context.
func As(ctx context.Context, c Caller) context.Context { return context.WithValue(ctx, inside{}, c) }

// Operator is a caller with all rights.
func Operator(who string) Caller { return Caller{Who: who, Rights: scopesOf(registry.AdminScopes)} }

// watched is the context key of somebody who hears how far an apply is.
type watched struct{}

// Watch lets a caller of this process hear after each object that an apply writes how many of all are written.
func Watch(ctx context.Context, progress func(done, all int)) context.Context {
	return context.WithValue(ctx, watched{}, progress)
}

func watcher(ctx context.Context) func(done, all int) {
	progress, _ := ctx.Value(watched{}).(func(done, all int))
	return progress
}
