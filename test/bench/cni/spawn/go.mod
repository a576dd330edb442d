module calico-kit/bench/spawn

go 1.25
