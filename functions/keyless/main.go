// Command keyless is all functions behind one listener, and the operator's command line.
package main

import (
	"os"

	"keyless/shared/command"
)

func main() { os.Exit(command.Main(os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr)) }
