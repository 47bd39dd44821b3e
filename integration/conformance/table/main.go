// Command table writes what the suites of sources and sinks have found into
// docs/conformance.md. `make integration` runs it. It fails when the page was not
// what they have found, so that it is looked at and committed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"sluice/integration/conformance"
	"sluice/integration/page"
)

func main() {
	from := flag.String("from", os.Getenv(conformance.Variable), "the folder of the results")
	flag.Parse()
	if err := run(*from, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(from, path string) error {
	if from == "" || path == "" {
		return errors.New("usage: table -from FOLDER PAGE")
	}
	results, err := conformance.Read(from)
	if err != nil {
		return err
	}
	changed := false
	for _, kind := range []string{conformance.Source, conformance.Store, conformance.Worker} {
		one, err := page.Update(path, kind, markdown(results, kind))
		if err != nil {
			return err
		}
		changed = changed || one
	}
	if changed {
		return fmt.Errorf("%s was not what the suites have found. It was written anew: look at the change, and commit it", path)
	}
	return nil
}
