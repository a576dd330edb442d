module calico-kit/cni-shim

go 1.22
