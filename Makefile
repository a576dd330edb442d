# The only commands. `make help` lists them; each does its own set-up.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export CALICO_KIT_CACHE ?= $(HOME)/.cache/calico-kit
export PATH := $(CURDIR)/node_modules/.bin:$(PATH):$(CALICO_KIT_CACHE)/go/bin

.PHONY: help up down status smoke test test-unit test-real test-cluster test-kind test-guest lint synth charts plan package release images bench simulate storm races differential kube-proxy-differential conformance fuzz clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

node_modules/.installed: package.json package-lock.json
	@test/set-up
	@npm install --no-save --no-fund --no-audit --loglevel=error
	@touch $@

up: node_modules/.installed ## a real cluster with our chart installed, and a demonstration on it (CLUSTER=kind: by kind)
	@node test/cluster/up.ts

down: node_modules/.installed ## remove the cluster; nothing is left behind
	@node test/cluster/down.ts

status: node_modules/.installed ## what runs on the cluster
	@node test/cluster/status.ts

smoke: node_modules/.installed ## a cluster made, our chart installed, tried and uninstalled, the cluster removed (CLUSTER=kind KEEP=1)
	@node test/cluster/smoke.ts

test: node_modules/.installed ## lint and every rung of the test ladder
	@test/run lint unit fuzz real cluster guest

test-unit: node_modules/.installed ## unit and property tests (no root needed)
	@test/run unit

test-real: node_modules/.installed ## tests against the kernel, etcd, Helm, BIRD and the lab (root)
	@test/run real

test-cluster: node_modules/.installed ## the chart on a real cluster (root)
	@test/run cluster

test-kind: node_modules/.installed ## make smoke CLUSTER=kind, and that nothing of it stays (root)
	@test/run kind

test-guest: node_modules/.installed ## IP-in-IP, and from it over VXLAN to none, on an emulated machine whose kernel has it (root)
	@test/run guest

lint: node_modules/.installed ## types, style and format
	@test/run lint

synth: node_modules/.installed ## plain manifests in dist/ (CALICO_SETTINGS=file.yaml for your values)
	@node src/deploy/main.ts

charts: node_modules/.installed ## the Helm chart in charts/calico
	@node src/deploy/main.ts chart charts/calico

plan: node_modules/.installed ## what other values would change (NEW=new.yaml OLD=old.yaml|release|live)
	@node src/deploy/main.ts plan $(NEW) $(OLD)

package: node_modules/.installed ## the constructs as an npm package, in build/
	@node images/npm/build.ts

release: node_modules/.installed ## chart archive, OCI layout, npm package, digests and provenance, in build/release (RELEASE_KEY= RELEASE_KEYRING= sign it)
	@node images/release/release.ts

images: node_modules/.installed ## the three images as OCI archives
	@node images/build.ts

bench: node_modules/.installed ## measure against a peer, e.g. make bench BENCH=cni
	@node test/bench/run.ts $(BENCH)

simulate: node_modules/.installed ## IPAM of whole clusters in virtual time, with faults (SEEDS= OPS= WORKERS=; SEED=n replays one)
	@node test/simulation/main.ts

storm: node_modules/.installed ## kill -9 of the agent amid ADDs and DELs on the lab, 200 times (root; ROUNDS= SEED=)
	@node test/storm/main.ts

races: node_modules/.installed ## 1,000 races of pods, policies, namespaces and restarts against forbidden datagrams (root; RACES=)
	@RACES=$${RACES:-1000} node --test test/scenarios/policy-races.root.test.ts

differential: node_modules/.installed ## policy: 2,000 random worlds asked of kernel, evaluator and reference (WORLDS= SECONDS= SEED=)
	@node test/differential/main.ts

kube-proxy-differential: node_modules/.installed ## services: 510 random worlds, iptables-save after kube-proxy 1.36.3 and after us (WORLDS= SEED=)
	@node test/kube-proxy/main.ts

conformance: node_modules/.installed ## Kubernetes' own e2e suite on a cluster of its own (root; FOCUS=netpol|services|pods|REGEX SKIP= PROCS= ROUNDS= KEEP=1)
	@CALICO_KIT_CLUSTER=$${CALICO_KIT_CLUSTER:-cc} node test/conformance/main.ts

fuzz: node_modules/.installed ## 10^7 damaged BGP messages (MESSAGES= SECONDS= SEED=)
	@node --max-semi-space-size=8 test/fuzz/main.ts

clean: ## remove what was built in this folder (the cache in ~/.cache/calico-kit stays)
	@rm -rf dist build node_modules
