// A MongoDB for tests: FerretDB over SQLite on a free port of loopback.
//
//	ferretdb [FOLDER [ADDRESS]]
//
// It keeps its files in the folder, or in one of its own that goes with it, prints its URL on the first line when it
// listens, and ends with its standard input: whoever started it is gone then. Its own command is not used because that
// needs its repository around it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	folder, address := "", "127.0.0.1:0"
	if len(args) > 0 {
		folder = args[0]
	} else {
		made, err := os.MkdirTemp("", "ferretdb-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(made)
		folder = made
	}
	if len(args) > 1 {
		address = args[1]
	}
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: address},
		Handler:   "sqlite",
		SQLiteURL: "file:" + folder + "/",
	})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	fmt.Println(server.MongoDBURI())
	return server.Run(ctx)
}
