package main

import (
	"flag"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
)

const (
	podCIDR     = "10.244.0.0/16"
	serviceCIDR = "10.96.0.0/12"

	etcdSocket = "etcd.sock" // in the directory that the components run in
)

// The default client limits (20 requests a second in the controller manager)
// would more than double the start time and slow every test down.
var clientLimits = []string{"--kube-api-qps=300", "--kube-api-burst=600"}

// options are the flags of "controlplane all".
type options struct {
	dir          string
	address      string
	port         int
	nodeMaskSize int
	nodes        []string
	remove       bool
	// Appended to the component's own flags, so that they win.
	apiserver, controllerManager, scheduler []string
}

func parseOptions(args []string) (*options, error) {
	var o options
	fs := flag.NewFlagSet("all", flag.ExitOnError)
	fs.StringVar(&o.dir, "dir", "", "directory for data, credentials and logs; reused if it exists")
	fs.StringVar(&o.address, "address", "127.0.0.1", "IP address that the API server listens on")
	fs.IntVar(&o.port, "port", 0, "port of the API server; 0 picks a free one")
	fs.IntVar(&o.nodeMaskSize, "node-cidr-mask-size", 24, "prefix length of each node's part of "+podCIDR)
	fs.Func("node", "also write NAME.kubeconfig with the rights of the node `NAME` (repeatable)", func(v string) error {
		o.nodes = append(o.nodes, v)
		return nil
	})
	fs.BoolVar(&o.remove, "rm", false, "delete --dir at the end")
	list := func(to *[]string) func(string) error {
		return func(v string) error { *to = append(*to, v); return nil }
	}
	fs.Func("apiserver-arg", "extra `flag` for the API server (repeatable)", list(&o.apiserver))
	fs.Func("controller-manager-arg", "extra `flag` for the controller manager (repeatable)", list(&o.controllerManager))
	fs.Func("scheduler-arg", "extra `flag` for the scheduler (repeatable)", list(&o.scheduler))
	fs.Parse(args)

	if o.dir == "" {
		return nil, fmt.Errorf("--dir is required")
	}
	var err error
	if o.dir, err = filepath.Abs(o.dir); err != nil {
		return nil, err
	}
	if o.port == 0 {
		o.port, err = freePort(o.address)
	}
	return &o, err
}

// freePort returns a TCP port that nothing on address listens on right now.
func freePort(address string) (int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

func (o *options) path(elem ...string) string {
	return filepath.Join(append([]string{o.dir}, elem...)...)
}

func (o *options) server() string {
	return "https://" + net.JoinHostPort(o.address, strconv.Itoa(o.port))
}

// The components run in o.dir, so the files that their flags name are relative to it.

func (o *options) apiserverArgs() []string {
	args := []string{
		"--bind-address=" + o.address,
		"--advertise-address=" + o.address,
		"--secure-port=" + strconv.Itoa(o.port),
		"--etcd-servers=unix://" + etcdSocket,
		"--service-cluster-ip-range=" + serviceCIDR,
		"--allow-privileged",
		"--profiling=false",

		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--enable-bootstrap-token-auth",
		"--client-ca-file=pki/ca.crt",
		"--tls-cert-file=pki/apiserver.crt",
		"--tls-private-key-file=pki/apiserver.key",

		// Without --kubelet-certificate-authority any kubelet serving certificate will do.
		"--kubelet-client-certificate=pki/apiserver-kubelet-client.crt",
		"--kubelet-client-key=pki/apiserver-kubelet-client.key",
		"--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",

		"--requestheader-client-ca-file=pki/front-proxy-ca.crt",
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=pki/front-proxy-client.crt",
		"--proxy-client-key-file=pki/front-proxy-client.key",

		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=pki/sa.pub",
		"--service-account-signing-key-file=pki/sa.key",
	}
	if net.ParseIP(o.address).IsLoopback() {
		// The "kubernetes" Service cannot have a loopback endpoint, so it gets none.
		args = append(args, "--endpoint-reconciler-type=none")
	}
	return append(args, o.apiserver...)
}

func (o *options) controllerManagerArgs() []string {
	args := []string{
		"--kubeconfig=controller-manager.kubeconfig",
		"--secure-port=0", // no health and metrics endpoint
		"--leader-elect=false",
		"--profiling=false",
		"--use-service-account-credentials",
		"--controllers=*,bootstrap-signer-controller,token-cleaner-controller",

		"--allocate-node-cidrs",
		"--cluster-cidr=" + podCIDR,
		"--node-cidr-mask-size=" + strconv.Itoa(o.nodeMaskSize),
		"--service-cluster-ip-range=" + serviceCIDR,

		"--cluster-signing-cert-file=pki/ca.crt",
		"--cluster-signing-key-file=pki/ca.key",
		"--root-ca-file=pki/ca.crt",
		"--service-account-private-key-file=pki/sa.key",
	}
	return slices.Concat(args, clientLimits, o.controllerManager)
}

func (o *options) schedulerArgs() []string {
	args := []string{
		"--kubeconfig=scheduler.kubeconfig",
		"--secure-port=0",
		"--leader-elect=false",
		"--profiling=false",
	}
	return slices.Concat(args, clientLimits, o.scheduler)
}
