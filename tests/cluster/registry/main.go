// Command registry is the CNCF distribution registry, built from its Go module,
// for integration tests on one machine.
//
//	registry --dir DIR [--address 127.0.0.1:0] [--user NAME:PASSWORD] [--tls-cert FILE --tls-key FILE] [--proxy URL]
//
// It keeps its blobs below DIR and prints one line of JSON once it listens. Two of them may share a
// DIR: one to push to in the clear, one to pull from with TLS or a password.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"golang.org/x/crypto/bcrypt"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "registry:", err)
		os.Exit(1)
	}
}

func run() error {
	dir := flag.String("dir", "", "where blobs are kept")
	address := flag.String("address", "127.0.0.1:0", "address and port to listen on; port 0 picks a free one")
	user := flag.String("user", "", "the `NAME:PASSWORD` that may push and pull; anybody may when empty")
	cert := flag.String("tls-cert", "", "certificate; HTTPS when set")
	key := flag.String("tls-key", "", "key of the certificate")
	proxy := flag.String("proxy", "", "upstream registry to be a pull-through mirror of")
	flag.Parse()
	if *dir == "" {
		return fmt.Errorf("--dir is required")
	}
	os.Setenv("OTEL_TRACES_EXPORTER", "none") // by default it looks for a collector on localhost

	addr, err := freeAddress(*address)
	if err != nil {
		return err
	}

	config := &configuration.Configuration{
		Version: configuration.CurrentVersion,
		Storage: configuration.Storage{
			"filesystem": configuration.Parameters{"rootdirectory": *dir},
			"delete":     configuration.Parameters{"enabled": true},
		},
	}
	config.HTTP.Addr = addr
	config.HTTP.Secret = "only for tests"
	config.HTTP.TLS.Certificate, config.HTTP.TLS.Key = *cert, *key
	config.Log.Level = "warn"
	config.Log.AccessLog.Disabled = true
	config.Proxy.RemoteURL = *proxy
	if *user != "" {
		path, err := writeHtpasswd(*user)
		if err != nil {
			return err
		}
		defer os.Remove(path)
		config.Auth = configuration.Auth{"htpasswd": configuration.Parameters{"realm": "tests", "path": path}}
	}

	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	r, err := registry.NewRegistry(ctx, config)
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- r.ListenAndServe() }()
	if err := waitListening(ctx, addr, failed); err != nil {
		return err
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{"ready": true, "address": addr})
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// writeHtpasswd writes the password file that the registry's basic authentication reads. It knows
// bcrypt alone, here at its lowest cost: every request pays for it.
func writeHtpasswd(user string) (path string, err error) {
	name, password, ok := strings.Cut(user, ":")
	if !ok {
		return "", fmt.Errorf("--user is NAME:PASSWORD")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		return "", err
	}
	f, err := os.CreateTemp("", "htpasswd")
	if err != nil {
		return "", err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%s:%s\n", name, hash)
	return f.Name(), err
}

// freeAddress replaces port 0 by a port that nothing listens on right now.
func freeAddress(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// waitListening returns when addr accepts connections, or why it never will.
func waitListening(ctx context.Context, addr string, failed <-chan error) error {
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return c.Close()
		}
		select {
		case err := <-failed:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
	}
}
