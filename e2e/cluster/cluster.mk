# The cluster that tests and the demo run on, and the images that it runs. Included from the Makefile.
CLUSTER ?= perennial
# kind where a container engine answers, otherwise native.
PROVIDER ?= auto
CLUSTER_CLI = $(PY) -m e2e.cluster

.PHONY: apiserver-tools tools cluster-up cluster-down cluster-list images sbom
apiserver-tools: venv ## Build what the API server tests need (etcd, kube-apiserver, ...)
	@$(CLUSTER_CLI) tools --apiserver

tools: venv ## Build every program of the cluster (about 15 minutes, once)
	@$(CLUSTER_CLI) tools

cluster-up: venv ## Bring up the cluster CLUSTER=perennial (PROVIDER=auto|kind|native)
	@$(CLUSTER_CLI) up --name $(CLUSTER) --provider $(PROVIDER)

cluster-down: venv ## Remove the cluster CLUSTER=perennial and everything it made
	@$(CLUSTER_CLI) down --name $(CLUSTER)

cluster-list: venv ## List the clusters
	@$(CLUSTER_CLI) list

images: venv ## Build the images
	@$(CLUSTER_CLI) images

sbom: venv ## Build the images, and write beside each what it holds (CycloneDX)
	@$(PY) -m scripts.sbom
