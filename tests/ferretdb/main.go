// A MongoDB for tests: FerretDB over SQLite on a free port of loopback.
//
//	ferretdb [FOLDER [ADDRESS]]
//
// It keeps its files in the folder, or in one of its own that goes with it, prints its address on the first line, and ends
// with its standard input: whoever started it is gone then. Its own command is not used because that needs its repository
// around it.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	var folder string
	if len(os.Args) > 1 {
		folder = os.Args[1]
	} else {
		made, err := os.MkdirTemp("", "ferretdb-")
		if err != nil {
			fail(err)
		}
		defer os.RemoveAll(made)
		folder = made
	}
	address := "127.0.0.1:0"
	if len(os.Args) > 2 {
		address = os.Args[2]
	}
	// Found here, for the library keeps the port it has been given to itself.
	probe, err := net.Listen("tcp", address)
	if err != nil {
		fail(err)
	}
	address = probe.Addr().String()
	probe.Close()
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: address},
		Handler:   "sqlite",
		SQLiteURL: "file:" + folder + "/",
	})
	if err != nil {
		fail(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	fmt.Println(address)
	if err := server.Run(ctx); err != nil {
		fail(err)
	}
}

func fail(reason any) {
	fmt.Fprintln(os.Stderr, reason)
	os.Exit(1)
}
