package main

import (
	"io"
	"os"
	"time"

	clientset "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	bootstraptoken "k8s.io/kubernetes/cmd/kubeadm/app/apis/bootstraptoken/v1"
	kubeadmapi "k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/bootstraptoken/clusterinfo"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/bootstraptoken/node"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/certs"
	"k8s.io/kubernetes/cmd/kubeadm/app/phases/kubeconfig"
)

// writeCredentials fills o.dir with the PKI that kubeadm would make, keeping
// what is already there, and with fresh kubeconfigs. It returns the bootstrap
// token that bootstrap.kubeconfig holds.
func writeCredentials(o *options) (token string, err error) {
	if err := os.MkdirAll(o.path("log"), 0o755); err != nil {
		return "", err
	}
	cfg := &kubeadmapi.InitConfiguration{
		LocalAPIEndpoint: kubeadmapi.APIEndpoint{AdvertiseAddress: o.address, BindPort: int32(o.port)},
		ClusterConfiguration: kubeadmapi.ClusterConfiguration{
			ClusterName:         "kubernetes",
			CertificatesDir:     o.path("pki"),
			EncryptionAlgorithm: kubeadmapi.EncryptionAlgorithmECDSAP256,
			Networking:          kubeadmapi.Networking{ServiceSubnet: serviceCIDR, DNSDomain: "cluster.local"},
		},
	}
	cfg.APIServer.CertSANs = []string{"localhost", "127.0.0.1"}
	if err := certs.CreatePKIAssets(cfg); err != nil {
		return "", err
	}
	ca, err := os.ReadFile(o.path("pki", "ca.crt"))
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(o.path("ca.crt"), ca, 0o644); err != nil {
		return "", err
	}
	if token, err = bootstraputil.GenerateBootstrapToken(); err != nil {
		return "", err
	}

	clientCert := func(name string, groups ...string) func(io.Writer) error {
		return func(w io.Writer) error {
			return kubeconfig.WriteKubeConfigWithClientCert(w, cfg, name, groups, time.Time{})
		}
	}
	kubeconfigs := map[string]func(io.Writer) error{
		"admin":              clientCert("kubernetes-admin", "system:masters"),
		"controller-manager": clientCert("system:kube-controller-manager"),
		"scheduler":          clientCert("system:kube-scheduler"),
		"bootstrap": func(w io.Writer) error {
			return kubeconfig.WriteKubeConfigWithToken(w, cfg, "tls-bootstrap-token-user", token, time.Time{})
		},
	}
	for _, node := range o.nodes {
		kubeconfigs[node] = clientCert("system:node:"+node, "system:nodes")
	}
	for name, write := range kubeconfigs {
		if err := writeFile(o.path(name+".kubeconfig"), write); err != nil {
			return "", err
		}
	}
	return token, nil
}

// writeFile creates or replaces a file that only its owner can read.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

// allowNodesToJoin creates the objects that "kubeadm init" makes for joining
// nodes: the bootstrap token, the cluster-info ConfigMap, and the roles that let
// the token post CSRs, have them approved, and let nodes rotate certificates.
func allowNodesToJoin(client clientset.Interface, o *options, token string) error {
	admin, err := clientcmd.LoadFromFile(o.path("admin.kubeconfig"))
	if err != nil {
		return err
	}
	tokenString, err := bootstraptoken.NewBootstrapTokenString(token)
	if err != nil {
		return err
	}
	bootstrapToken := bootstraptoken.BootstrapToken{Token: tokenString}
	bootstraptoken.SetDefaults_BootstrapToken(&bootstrapToken)
	if err := node.UpdateOrCreateTokens(client, false, []bootstraptoken.BootstrapToken{bootstrapToken}); err != nil {
		return err
	}
	if err := clusterinfo.CreateBootstrapConfigMapIfNotExists(client, admin); err != nil {
		return err
	}
	for _, create := range []func(clientset.Interface) error{
		clusterinfo.CreateClusterInfoRBACRules,
		node.AllowBootstrapTokensToPostCSRs,
		node.AllowBootstrapTokensToGetNodes,
		node.AutoApproveNodeBootstrapTokens,
		node.AutoApproveNodeCertificateRotation,
		node.AllowAPIServerToAccessKubeletAPI, // kubectl logs, exec, ...
	} {
		if err := create(client); err != nil {
			return err
		}
	}
	return nil
}
