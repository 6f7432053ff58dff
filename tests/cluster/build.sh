#!/bin/sh
# Builds bin/controlplane, bin/kubectl and bin/registry, each program only where its sources have
# changed: even with everything cached, asking Go takes seconds.
set -eu
cd "$(dirname "$0")"
mkdir -p bin
exec 9>bin/.lock
flock 9 # two test runs on one checkout must not write the same file

# changed NAME SOURCE... says whether NAME was built from other sources, and notes these in bin/.NAME.new.
changed() {
	name=$1; shift
	{ go version; cat build.sh "$@"; } | sha256sum > "bin/.$name.new"
	! { [ -x "bin/$name" ] && cmp -s "bin/.$name.new" "bin/.$name.sum"; }
}

# built NAME: the next run need not build it.
built() {
	mv "bin/.$1.new" "bin/.$1.sum"
	echo "built $1" >&2
}

# Without the version flags the API server would call itself v0.0.0-master, which clients that
# compare versions cannot handle. -trimpath would only change the keys of the build cache.
kubernetes() {
	version=$(cd controlplane && go list -m -f '{{.Version}}' k8s.io/kubernetes)
	major=${version#v} major=${major%%.*}
	minor=${version#v*.} minor=${minor%%.*}
	pkg=k8s.io/component-base/version
	(cd controlplane && go build -o "../bin/$1" -ldflags "-s -w
		-X $pkg.gitVersion=$version -X $pkg.gitMajor=$major -X $pkg.gitMinor=$minor
		-X $pkg.gitTreeState=clean" "$2")
	built "$1"
}

modules="controlplane/go.mod controlplane/go.sum"
if changed controlplane $modules controlplane/*.go; then kubernetes controlplane .; fi
if changed kubectl $modules; then kubernetes kubectl k8s.io/kubernetes/cmd/kubectl; fi
if changed registry registry/go.mod registry/go.sum registry/*.go; then
	(cd registry && go build -o ../bin/registry -ldflags '-s -w')
	built registry
fi
rm -f bin/.*.new
