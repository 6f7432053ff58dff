package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const startTimeout = 2 * time.Minute

// runAll runs the whole control plane until a signal arrives or a component ends.
// Once it is usable, it says so in one line of JSON on standard output.
func runAll(args []string) error {
	// kubeadm's functions report progress on os.Stdout, which is kept for that line.
	stdout := os.Stdout
	os.Stdout = os.Stderr

	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()

	token, err := writeCredentials(o)
	if err != nil {
		return err
	}
	if o.remove {
		defer os.RemoveAll(o.dir)
	}

	runtime.LockOSThread() // see supervisor.start
	s := newSupervisor(o.dir)
	defer s.stop()
	if err := startAll(ctx, s, o, token); err != nil {
		return err
	}
	json.NewEncoder(stdout).Encode(map[string]any{
		"ready":               true,
		"server":              o.server(),
		"kubeconfig":          o.path("admin.kubeconfig"),
		"bootstrapKubeconfig": o.path("bootstrap.kubeconfig"),
		"bootstrapToken":      token,
		"caFile":              o.path("ca.crt"),
		"processes":           s.processes(),
	})

	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// startAll starts the components one after the other and returns when pods can
// be created: the API server is ready and a ServiceAccount exists for them.
func startAll(ctx context.Context, s *supervisor, o *options, token string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %v", startTimeout))
	defer cancel()

	config, err := clientcmd.BuildConfigFromFlags("", o.path("admin.kubeconfig"))
	if err != nil {
		return err
	}
	client, err := clientset.NewForConfig(config)
	if err != nil {
		return err
	}

	if err := s.start("etcd", "--data-dir=etcd", "--socket="+etcdSocket); err != nil {
		return err
	}
	// The API server waits for etcd by itself, the other two would give up on it.
	if err := s.start("apiserver", o.apiserverArgs()...); err != nil {
		return err
	}
	if err := s.poll(ctx, func(ctx context.Context) error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}); err != nil {
		return fmt.Errorf("waiting for the API server: %w", err)
	}
	if err := s.start("controller-manager", o.controllerManagerArgs()...); err != nil {
		return err
	}
	if err := s.start("scheduler", o.schedulerArgs()...); err != nil {
		return err
	}
	if err := allowNodesToJoin(client, o, token); err != nil {
		return err
	}
	if err := s.poll(ctx, func(ctx context.Context) error {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		return err
	}); err != nil {
		return fmt.Errorf("waiting for the default ServiceAccount: %w", err)
	}
	return nil
}
